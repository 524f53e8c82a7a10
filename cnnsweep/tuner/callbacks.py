"""The callbacks of a sweep as one: every event goes to each of them, in a fixed order."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from cnnsweep.callbacks import WARNING, Callback, ErrorPolicy, SweepOverview
from cnnsweep.storage.writer import Recorder
from cnnsweep.trackers.base import failure_text
from cnnsweep.types import Decision, EpochRecord, EpochReport, Run, RunGroup, RunOutcome

_EVENTS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class CallbackList(Callback):
    """Passes every event on: to the writer, then to the trackers, then to the others in their order.

    Attributes:
        error: the first error that a callback of the user's raised; the sweep has to stop.
    """

    def __init__(self, callbacks: Sequence[Callback] = ()) -> None:
        self.error: Exception | None = None
        self._writer: Recorder | None = None
        self._callbacks: list[Callback] = []
        self._by_event: dict[str, list[Callback]] = {}
        self._set(callbacks)

    def add(self, *callbacks: Callback) -> None:
        """Add callbacks after those that are there; a writer comes first all the same, and trackers follow it."""
        self._writer = next((one for one in callbacks if isinstance(one, Recorder)), self._writer)
        self._set([*self._callbacks, *callbacks])

    def stop_writing(self) -> None:
        """Take out the writer and the trackers: their folder can no longer be written."""
        self._set([one for one in self._callbacks if one is not self._writer and not _is_tracker(one)])
        self._writer = None

    def on_sweep_start(self, sweep: SweepOverview) -> None:
        self._call("on_sweep_start", sweep)

    def on_trials_added(self, runs: Sequence[Run], to_come: int) -> None:
        self._call("on_trials_added", runs, to_come)

    def on_rewind(self, run: Run, last: EpochRecord | None) -> None:
        self._call("on_rewind", run, last)

    def on_run_start(self, run: Run, last: EpochRecord | None) -> None:
        self._call("on_run_start", run, last)

    def on_batch_end(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        for callback in self._by_event["on_batch_end"]:
            self._call_one(callback, "on_batch_end", run_ids, epoch, done, total)

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
        """Write an epoch, then pass it on; the trackers write theirs before the checkpoints commit the epoch."""
        trackers, others = self._trackers_and_others("on_epoch_end")
        with contextlib.nullcontext() if self._writer is None else self._writer.writing_epoch(reports):
            decisions = [self._call_one(tracker, "on_epoch_end", reports) for tracker in trackers]
        decisions += [self._call_one(callback, "on_epoch_end", reports) for callback in others]
        return _merged(decisions)

    def on_run_end(self, outcome: RunOutcome) -> None:
        """Pass on the end of a run, to the trackers first: a crash before the journal has it repeats it for them."""
        trackers, others = self._trackers_and_others("on_run_end")
        with contextlib.nullcontext() if self._writer is None else self._writer.writing():
            for tracker in trackers:
                self._call_one(tracker, "on_run_end", outcome)
        for callback in others:
            self._call_one(callback, "on_run_end", outcome)

    def on_group_split(self, parts: Sequence[RunGroup], cause: str) -> None:
        self._call("on_group_split", parts, cause)

    def on_group_lost(self, group: RunGroup, cause: str) -> None:
        self._call("on_group_lost", group, cause)

    def on_log(self, text: str, level: int = WARNING) -> None:
        self._call("on_log", text, level)

    def on_sweep_end(self, status: str) -> None:
        self._call("on_sweep_end", status)

    def _trackers_and_others(self, event: str) -> tuple[list[Callback], list[Callback]]:
        handling = self._by_event[event]
        return [one for one in handling if _is_tracker(one)], [one for one in handling if not _is_tracker(one)]

    def _call(self, event: str, *arguments: object) -> None:
        for callback in self._by_event[event]:
            self._call_one(callback, event, *arguments)

    def _call_one(self, callback: Callback, event: str, *arguments: object) -> Any:
        try:
            return getattr(callback, event)(*arguments)
        except Exception as error:
            if callback.error_policy is ErrorPolicy.RAISE:
                raise
            self._drop(callback, error)
        return None

    def _drop(self, callback: Callback, error: Exception) -> None:
        """Take out a callback that raised: the sweep continues without a tracker, and stops for the user's own."""
        self._set([one for one in self._callbacks if one is not callback])
        if callback.error_policy is ErrorPolicy.STOP:
            self.error = self.error or error
        else:
            self.on_log(failure_text(callback, error))

    def _set(self, callbacks: Sequence[Callback]) -> None:
        def turn(callback: Callback) -> int:
            return 0 if callback is self._writer else 1 if _is_tracker(callback) else 2

        self._callbacks = sorted(callbacks, key=turn)
        # Most callbacks have few methods: an event costs only the calls that do something.
        self._by_event = {event: [one for one in self._callbacks if _handles(one, event)] for event in _EVENTS}


def _is_tracker(callback: Callback) -> bool:
    return callback.error_policy is ErrorPolicy.DROP


def _handles(callback: Callback, event: str) -> bool:
    return getattr(type(callback), event) is not getattr(Callback, event)


def _merged(decisions: Sequence[Mapping[str, Decision] | None]) -> dict[str, Decision]:
    """Return the decisions of all callbacks; INTERRUPT wins over STOP, and STOP over CONTINUE."""
    merged: dict[str, Decision] = {}
    for decision in (Decision.CONTINUE, Decision.STOP, Decision.INTERRUPT):
        for of_one in decisions:
            merged.update({run_id: found for run_id, found in (of_one or {}).items() if found is decision})
    return merged
