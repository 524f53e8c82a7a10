"""A sweep that another process trains: the state that its journal folds into, and the owner of its folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from cnnsweep.formatting.numbers import duration_text
from cnnsweep.progress.journal_tail import JournalTail
from cnnsweep.progress.lock_owner import NO_OWNER, OwnerState, read_lock_owner
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import SweepState, apply_checked

POLL_EVERY_S = 0.5
PATIENCE_S = 5.0  # before a sweep without an owner counts as cut off: a shared disk shows files with a delay
SHORTEST_SILENCE_S = 60.0
LONG_SILENCE = 4  # times the longest time between two polls with events so far
RESUME = "to resume it, run the same 'cnnsweep run' command"


class SweepMonitor:
    """Monitor of a sweep in another process, updated by each poll.

    Attributes:
        state: after all events read so far.
        is_replaced: the last poll found another journal in place of the former.
    """

    def __init__(self, paths: SweepPaths, clock: Callable[[], float] = time.monotonic) -> None:
        self.paths = paths
        self.state = SweepState()
        self.is_replaced = False
        self._clock = clock
        self._tail = JournalTail(paths.journal)
        self._owner = NO_OWNER
        self._last_event: float | None = None  # when the journal last grew
        self._longest = 0.0  # seconds between two events so far
        self._has_warned = False

    def poll(self) -> list[Mapping[str, Any]]:
        """Return the events since the last poll; `state` includes them.

        Raises:
            ResultsError: the journal is damaged, or cannot be read.
        """
        # Before the journal: the last events of a process are there once it is gone.
        self._owner = read_lock_owner(self.paths)
        events = self._tail.new_events()
        self.is_replaced = self._tail.is_replaced
        if self.is_replaced:
            self.state = SweepState()
        first = self._tail.lines - len(events) + 1
        for number, event in enumerate(events, start=first):
            apply_checked(self.state, event, self.paths.journal, number)
        if events:
            self._note_growth()
        return events

    def _note_growth(self) -> None:
        now = self._clock()
        if self._last_event is None:
            self._last_event = now - self._age()
            return
        self._longest = max(self._longest, now - self._last_event)
        self._last_event, self._has_warned = now, False

    def _age(self) -> float:
        """Return the seconds since the last command ended, or since the journal's file changed while it trains."""
        with suppress(OSError, ValueError):
            ended = self.state.time.ended if self.state.time.has_left else None
            at = self.paths.journal.stat().st_mtime if ended is None else datetime.fromisoformat(ended).timestamp()
            return max(time.time() - at, 0.0)
        return 0.0

    @property
    def has_begun(self) -> bool:
        return self.state.sweep is not None

    @property
    def is_finished(self) -> bool:
        return self.state.status == "finished"

    @property
    def is_cut_off(self) -> bool:
        """True if no process trains the sweep any more, although its journal has no end."""
        if not self.has_begun or self.state.status != "running":
            return False
        is_unclaimed = self._owner.state is OwnerState.NOBODY and self.silence >= PATIENCE_S
        return is_unclaimed or self._owner.state is OwnerState.GONE

    @property
    def is_over(self) -> bool:
        """True if the last command in the folder has ended, and no other is about to begin here."""
        has_left = self.has_begun and self.state.status != "running"
        return self.is_cut_off or (has_left and self._owner.state is not OwnerState.HERE)

    @property
    def silence(self) -> float:
        """Seconds since the journal grew."""
        return 0.0 if self._last_event is None else self._clock() - self._last_event

    def words(self) -> str:
        """Return the sweep's status, its process and the time since the last event; safe to print."""
        ago = f"{duration_text(self.silence)} ago"
        if self.is_cut_off:
            is_gone = self._owner.state is OwnerState.GONE
            cause = f"{self._owner.words} is gone" if is_gone else "no process trains it any more"
            return f"cut off: {cause}, last event {ago}; {RESUME}"
        if self.is_finished:
            return f"finished {ago}"
        if self.state.status != "running":
            return f"{self.state.status} {ago}; {RESUME}"
        trainer = f"{self._owner.words} trains it" if self._owner.may_write else "no process is known to train it"
        return f"{trainer}; last event {ago}"

    def new_silence(self) -> str | None:
        """Return a warning, once, if a sweep on another machine has had no event for long."""
        limit = max(SHORTEST_SILENCE_S, LONG_SILENCE * self._longest)
        if self._has_warned or self._owner.state is not OwnerState.ELSEWHERE or self.silence < limit:
            return None
        self._has_warned = True
        return f"no event for {duration_text(self.silence)}; if {self._owner.words} is gone: {RESUME}"
