"""Recovers a damaged journal: keeps intact lines and drops events that depend on lost ones.

A run whose epochs have a gap returns to the epoch before it. Announcements of runs, and the line of the sweep, are
restored from results.json, so that the other lines about them keep their meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from cnnsweep.errors import ResultsError
from cnnsweep.maintenance.known_results import KnownResults
from cnnsweep.storage.event_schema import check_event
from cnnsweep.storage.journal import VERSION, encode_event
from cnnsweep.storage.run_state import RunState
from cnnsweep.storage.state import SweepState
from cnnsweep.types import RunStatus

Event = Mapping[str, Any]
Line = tuple[bytes, Event | None]


@dataclass(frozen=True, slots=True)
class RecoveredJournal:
    """A journal without its damage.

    Attributes:
        content: the journal as it should be.
        history: the state by it.
        damage: damaged lines and their former content, in words; without a torn last line.
        consequences: further changes because of that, in words.
        torn_bytes: of a last line that a crash cut short.
    """

    content: bytes
    history: SweepState
    damage: tuple[str, ...]
    consequences: tuple[str, ...]
    torn_bytes: int

    @property
    def is_damaged(self) -> bool:
        return bool(self.damage or self.consequences)


def salvage(lines: Sequence[Line], known: KnownResults) -> RecoveredJournal:
    """Return the intact content of a journal.

    Raises:
        ResultsError: a later version of cnnsweep wrote it.
    """
    torn = lines[-1][0] if lines and lines[-1][1] is None else b""
    salvager = _Recovery(known)
    salvager.take_all(lines[:-1] if torn else lines)
    return RecoveredJournal(
        b"".join(salvager.kept),
        salvager.history,
        tuple(salvager.damage),
        tuple(salvager.consequences),
        len(torn),
    )


class _Recovery:
    """Reads a journal once, and keeps the events that agree with those before."""

    def __init__(self, known: KnownResults) -> None:
        self.history = SweepState()
        self.kept: list[bytes] = []
        self.damage: list[str] = []
        self.consequences: list[str] = []
        self._known = known
        self._order = {run: place for place, run in enumerate(known.runs)}
        self._place = 0  # in the file
        self._last_damage = -1
        self._last_of_run: dict[str, int] = {}
        self._broken: set[str] = set()  # runs with a gap, whose events do not count until they go back to before it
        self._follows_damage = False  # only announcements have come since
        self._has_lost_round = False

    def take_all(self, lines: Sequence[Line]) -> None:
        announced = {event["run"] for _, event in lines if _is_event(event) and event["event"] == "run"}
        missing = [run for run in self._known.runs if run not in announced]
        if self._known.sweep is not None and not any(_is_event(e) and e["event"] == "sweep" for _, e in lines):
            self._insert(self._known.sweep, "the sweep's line was restored from results.json and sweep.yaml")
        seen: set[bytes] = set()
        for place, (line, event) in enumerate(lines):
            self._place = place
            if event is None:
                self._note_damage(f"line {place + 1}: its checksum does not match; it held {_content_words(line)}")
            elif not _is_event(event):  # its checksum is right all the same
                self._note_damage(f"line {place + 1}: is not an event of a sweep")
            elif line in seen:
                self.damage.append(f"line {place + 1}: is a duplicate")
            else:
                seen.add(line)
                self._announce(self._before(event.get("run"), missing))
                self._take(line, event)
        self._announce(missing)
        for run_id in sorted(self._broken):
            run = self.history.runs[run_id]
            resumption = f"resumes after epoch {len(run.records)}" if run.records else "starts over"
            self.consequences.append(f"{run.name}: an epoch was lost; the run {resumption} when the sweep is run again")

    def _before(self, run_id: str | None, missing: list[str]) -> list[str]:
        """Remove from `missing` the runs that were announced before a run, and the run itself."""
        if not missing or run_id not in self._order:
            return []
        earlier = [run for run in missing if self._order[run] <= self._order[run_id]]
        del missing[: len(earlier)]  # both are in the same order
        return earlier

    def _announce(self, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            event = self._known.runs[run_id]
            self._insert(event, f"{event['name']}: its announcement was restored from results.json")

    def _insert(self, event: Event, why: str | None = None) -> None:
        self.history.apply(event)
        self.kept.append(encode_event(event))
        if why is not None:
            self.consequences.append(why)

    def _note_damage(self, words: str) -> None:
        self.damage.append(words)
        self._last_damage = self._place
        self._follows_damage = True

    def _take(self, line: bytes, event: Event) -> None:
        try:
            if event["event"] == "sweep" and event["version"] > VERSION:
                raise ResultsError(f"journal version {event['version']} was written by a later cnnsweep; upgrade it")
            if self._fits(event):
                self.history.apply(event)
                self.kept.append(line)
                if "run" in event:
                    self._last_of_run[event["run"]] = self._place
        except (LookupError, TypeError, ValueError, AttributeError):  # it does not fit the others
            self._note_damage(f"line {self._place + 1}: is not an event of a sweep")
        else:
            self._follows_damage = self._follows_damage and event["event"] == "run"

    def _fits(self, event: Event) -> bool:
        """True if an event agrees with those before; otherwise record the consequence."""
        kind = event["event"]
        if kind == "run":
            self._look_for_lost_round(event)
        elif kind == "asked" and self._has_lost_round:
            self.consequences.append("a later round of the search depends on a lost one; the sampler suggests it again")
            return False
        elif kind in ("epoch", "resumed", "ended"):
            run = self.history.runs.get(event["run"])
            if run is None:
                self._lose(event["run"])
                return False
            return {"epoch": self._fits_epoch, "resumed": self._fits_resumed, "ended": self._fits_end}[kind](run, event)
        return True

    def _lose(self, run_id: str) -> None:
        words = f"{run_id}: its announcement is lost; the run comes back, and trains again, when the sweep is run again"
        if words not in self.consequences:
            self.consequences.append(words)

    def _fits_epoch(self, run: RunState, event: Event) -> bool:
        done, epoch = len(run.records), int(event["epoch"])
        if epoch > done + 1:
            self._broken.add(run.id)
            return False
        self._broken.discard(run.id)
        if epoch <= done or run.outcome is not None:
            self._insert(
                {"event": "resumed", "run": run.id, "epoch": epoch - 1, "time": event["time"]},
                f"{run.name}: the line that took the run back to epoch {epoch - 1} is lost; it was restored",
            )
        return True

    def _fits_resumed(self, run: RunState, event: Event) -> bool:
        if int(event["epoch"]) > len(run.records):
            self._broken.add(run.id)
            return False
        self._broken.discard(run.id)
        return True

    def _fits_end(self, run: RunState, event: Event) -> bool:
        if run.id in self._broken:
            return False
        status = RunStatus(event["status"])
        decision = self._known.stops.get(run.id)
        if status is RunStatus.STOPPED and decision is not None and not self._is_end_of(run, status):
            self._insert(
                {"event": "judged", "verdicts": [decision], "time": event["time"]},
                f"{run.name}: the decision that stopped it was restored from results.json",
            )
        if not self._is_end_of(run, status):
            self.consequences.append(
                f"{run.name}: epochs before its end are lost; the run resumes when the sweep is run again"
            )
            return False
        return True

    def _is_end_of(self, run: RunState, status: RunStatus) -> bool:
        """True if the outcome of a run agrees with its records."""
        nothing_lost = self._last_damage < self._last_of_run.get(run.id, -1)
        if status is RunStatus.FINISHED:
            return nothing_lost if run.epochs is None else len(run.records) == run.epochs
        if status is RunStatus.DIVERGED:
            return nothing_lost or (bool(run.records) and run.records[-1].divergence is not None)
        if status is RunStatus.STOPPED:
            decision = self.history.decisions.get((run.trial_id, len(run.records)))
            return decision is not None and decision.stops
        return nothing_lost or status is RunStatus.INTERRUPTED

    def _look_for_lost_round(self, event: Event) -> None:
        """Detect a lost round: it is written with its runs at once, so runs behind damage mean that it is lost."""
        search = (self.history.sweep or {}).get("search") or {}
        trial_id = event.get("configuration")
        asked = any(trial_id in one.trial_ids for one in self.history.rounds)
        if (
            search.get("method", "grid") != "grid"
            and self._follows_damage
            and not asked
            and trial_id not in self._known.named
        ):
            if not self._has_lost_round:
                self.consequences.append("a round of the search is lost; the sampler suggests it again")
            self._has_lost_round = True


def _is_event(event: Event | None) -> TypeGuard[Event]:
    """True for an event of this version; also for the first event of a later one, which has an error of its own."""
    if event is None:
        return False
    try:
        check_event(event)
    except ValueError:
        version = event.get("version")
        return event.get("event") == "sweep" and isinstance(version, int) and version > VERSION
    return True


def _content_words(line: bytes) -> str:
    """Return the readable part of a damaged line's content, in words."""
    kind = re.search(rb'"event": "([a-z]{1,20})"', line)
    run = re.search(rb'"run": "([0-9a-f]{16})"', line)
    epoch = re.search(rb'"epoch": (\d{1,9})\b', line)
    words = "unreadable content" if kind is None else f"'{kind[1].decode()}'"
    words += f", epoch {int(epoch[1])}" if epoch is not None else ""
    return words + (f" of run {run[1].decode()}" if run is not None else "")
