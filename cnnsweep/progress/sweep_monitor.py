"""A sweep as it can be seen from outside: its journal, and who holds its folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from cnnsweep.formatting.numbers import duration_text
from cnnsweep.progress.journal_tail import JournalTail
from cnnsweep.progress.lock_owner import OwnerState, Trainer, find_trainer
from cnnsweep.progress.replay import JournalReplay
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import apply_checked

LOOK_EVERY_S = 0.5
PATIENCE_S = 5.0  # before a sweep that nobody claims counts as cut off: a shared disk shows files with a delay
SHORTEST_SILENCE_S = 60.0
LONG_SILENCE = 4  # times the longest time without news so far
GO_ON = "the same 'cnnsweep run' command goes on"


class SweepMonitor:
    """Monitor of a sweep in another process, updated by each poll.

    Attributes:
        is_replaced: the last look found another journal in place of the former.
    """

    def __init__(self, paths: SweepPaths, clock: Callable[[], float] = time.monotonic) -> None:
        self.paths = paths
        self.replay = JournalReplay()
        self.is_replaced = False
        self._clock = clock
        self._tail = JournalTail(paths.journal)
        self._trainer = Trainer(OwnerState.NOBODY, "no process")
        self._news: float | None = None  # when the journal last grew
        self._longest = 0.0  # seconds without news, before there was some
        self._has_told = False

    def look(self) -> list[Mapping[str, Any]]:
        """Return the events since the last look, which `replay` holds then.

        Raises:
            ResultsError: the journal is damaged, or cannot be read.
        """
        # Before the journal: what a process writes as it ends is there once it is gone.
        self._trainer = find_trainer(self.paths)
        events = self._tail.new_events()
        self.is_replaced = self._tail.is_replaced
        if self.is_replaced:
            self.replay = JournalReplay()
        first = self._tail.lines - len(events) + 1
        for number, event in enumerate(events, start=first):
            apply_checked(self.replay.history, event, self.paths.journal, number)
            self.replay.take(event)
        if events:
            self._note_news()
        return events

    def _note_news(self) -> None:
        now = self._clock()
        if self._news is None:  # how old it is only the file's date says
            age = 0.0
            with suppress(OSError):
                ended = self.replay.ended
                at = self.paths.journal.stat().st_mtime if ended is None else ended.timestamp()
                age = max(time.time() - at, 0.0)
            self._news = now - age
            return
        self._longest = max(self._longest, now - self._news)
        self._news, self._has_told = now, False

    @property
    def has_begun(self) -> bool:
        return self.replay.history.sweep is not None

    @property
    def is_finished(self) -> bool:
        return self.replay.history.status == "finished"

    @property
    def is_cut_off(self) -> bool:
        """Nobody trains the sweep any more, though its journal does not say so."""
        if not self.has_begun or self.replay.history.status != "running":
            return False
        is_unclaimed = self._trainer.presence is OwnerState.NOBODY and self.silence >= PATIENCE_S
        return is_unclaimed or self._trainer.presence is OwnerState.GONE

    @property
    def is_over(self) -> bool:
        """The last command in the folder has ended, and no other is about to begin here."""
        has_left = self.has_begun and self.replay.history.status != "running"
        return self.is_cut_off or (has_left and self._trainer.presence is not OwnerState.HERE)

    @property
    def silence(self) -> float:
        """Seconds since the journal grew."""
        return 0.0 if self._news is None else self._clock() - self._news

    def words(self) -> str:
        """Return in words whether the sweep runs, and since when nothing new is known; safe to print."""
        ago = f"{duration_text(self.silence)} ago"
        status = self.replay.history.status
        if self.is_cut_off:
            is_gone = self._trainer.presence is OwnerState.GONE
            who = f"{self._trainer.words} is gone" if is_gone else "no process trains it any more"
            return f"cut off: {who}, the last news is from {ago}; {GO_ON}"
        if status == "finished":
            return f"finished {ago}"
        if status != "running":
            return f"{status} {ago}; {GO_ON}"
        if not self._trainer.may_write:
            return f"no process is known to train it; the last news is from {ago}"
        return f"{self._trainer.words} trains it; the last news is from {ago}"

    def new_silence(self) -> str | None:
        """Return, once, that it is long since there was news of a sweep of which nobody here can tell if it runs."""
        limit = max(SHORTEST_SILENCE_S, LONG_SILENCE * self._longest)
        if self._has_told or self._trainer.presence is not OwnerState.ELSEWHERE or self.silence < limit:
            return None
        self._has_told = True
        return f"no news for {duration_text(self.silence)}; if {self._trainer.words} is gone, {GO_ON}"
