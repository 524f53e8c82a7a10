"""The callbacks of a sweep as one: every event goes to each of them, in a fixed order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cnnsweep.callbacks import WARNING, Callback, ErrorPolicy, SweepOverview
from cnnsweep.code_place import raised_at
from cnnsweep.errors import FolderError
from cnnsweep.storage.writer import SweepWriter
from cnnsweep.trackers.base import Tracker, TrackerContext
from cnnsweep.tuner.failure_limit import MOST_ALIKE, FailureLimit
from cnnsweep.types import Decision, EpochRecord, EpochReport, Run, RunGroup, RunOutcome


class CallbackList(Callback):
    """Passes every event on: to the writer, then to the trackers, then to the others in their order.

    Args:
        callbacks: the display and the user's own; trackers among them come with the others of their kind.
        of_file: those that the sweep file names, which come after them.

    Attributes:
        failures: the last callback; it counts failures with the same cause.
        error: the first error that a callback of the user's raised; the sweep has to stop.
    """

    def __init__(
        self, callbacks: Sequence[Callback] = (), max_failures: int = MOST_ALIKE, of_file: Sequence[Callback] = ()
    ) -> None:
        self.failures = FailureLimit(max_failures)
        self.error: Exception | None = None
        self._writer: SweepWriter | None = None
        self._trackers: list[Callback] = []
        self._of_file = list(of_file)
        every = [*callbacks, *of_file]
        self._own_trackers = [one for one in every if isinstance(one, Tracker)]
        self._others = [*(one for one in every if not isinstance(one, Tracker)), self.failures]

    def add_first(self, writer: SweepWriter, trackers: Sequence[Tracker], followed: TrackerContext) -> None:
        """Add the writer and the trackers before the others, and set the trackers up.

        Args:
            trackers: those of the sweep file; the user's own come after them.
            followed: the sweep as the trackers see it.
        """
        self._writer, self._trackers = writer, [*trackers, *self._own_trackers]
        self._each(self._trackers, "setup", followed)

    def rewind(self, resumed: Iterable[tuple[Run, EpochRecord | None]]) -> None:
        """Pass on the last epochs of runs that a crash has left beyond their checkpoints."""
        for run, last in resumed:
            self.on_rewind(run, last)

    def log_each(self, lines: Iterable[str]) -> None:
        """Log some lines."""
        for line in lines:
            self.on_log(line)

    def stop_writing(self) -> None:
        """Take out the writer: its folder can no longer be written."""
        self._writer = None

    def raise_error(self) -> None:
        """Raise the error of the user's callback that stopped the sweep, if one did."""
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Close the trackers. It may be called more than once."""
        self._each(self._trackers, "close")
        self._trackers = []
        self._writer = None  # it logs here and holds the data set: a cycle would keep that after the sweep

    def on_sweep_start(self, sweep: SweepOverview) -> None:
        self._call("on_sweep_start", sweep)

    def on_trials_added(self, runs: Sequence[Run], to_come: int) -> None:
        self._call("on_trials_added", runs, to_come)

    def on_rewind(self, run: Run, last: EpochRecord | None) -> None:
        self._call("on_rewind", run, last)

    def on_run_start(self, run: Run, last: EpochRecord | None) -> None:
        self._call("on_run_start", run, last)

    def on_batch_end(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        for callbacks in (self._trackers, self._others):  # the writer has no use for it
            self._each(callbacks, "on_batch_end", run_ids, epoch, done, total)

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
        """Write an epoch, then pass it on; the trackers write theirs before the checkpoints commit the epoch."""
        with contextlib.nullcontext() if self._writer is None else self._writer.writing_epoch(reports):
            decisions = self._each(self._trackers, "on_epoch_end", reports)
        return _merged([*decisions, *self._each(self._others, "on_epoch_end", reports)])

    def on_run_end(self, outcome: RunOutcome) -> None:
        """Pass on the end of a run; the trackers write it before the journal, so that a crash leaves no gap."""
        if self._writer is not None:
            self._writer.refuse_if_lost()
        self._each(self._trackers, "on_run_end", outcome)
        if self._writer is not None:
            self._writer.on_run_end(outcome)
        self._each(self._others, "on_run_end", outcome)

    def on_group_split(self, parts: Sequence[RunGroup], cause: str) -> None:
        self._call("on_group_split", parts, cause)

    def on_group_lost(self, group: RunGroup, cause: str) -> None:
        self._call("on_group_lost", group, cause)

    def on_log(self, text: str, level: int = WARNING) -> None:
        self._call("on_log", text, level)

    def on_sweep_end(self, status: str) -> None:
        self._call("on_sweep_end", status)

    def _call(self, event: str, *arguments: object) -> None:
        if self._writer is not None:
            getattr(self._writer, event)(*arguments)
        self._each(self._trackers, event, *arguments)
        self._each(self._others, event, *arguments)

    def _each(self, callbacks: Sequence[Callback], event: str, *arguments: object) -> list[Any]:
        results = []
        for callback in list(callbacks):
            # Most callbacks have few methods: an event costs only the calls that do something.
            if getattr(type(callback), event) is getattr(Callback, event, None):
                continue
            try:
                result = getattr(callback, event)(*arguments)
                results.append(_decisions(result) if event == "on_epoch_end" else result)
            except Exception as error:
                if self._policy(callback) is ErrorPolicy.RAISE:
                    raise
                self._drop(callback, error)
        return results

    def _policy(self, callback: Callback) -> ErrorPolicy:
        """Return the consequence of an error: a callback of the sweep file is dropped, if its class has no other."""
        if not any(one is callback for one in self._of_file):
            return callback.error_policy
        by = next(kind for kind in type(callback).__mro__ if "error_policy" in vars(kind))
        stops = by is not Callback and callback.error_policy is not ErrorPolicy.DROP
        return ErrorPolicy.STOP if stops else ErrorPolicy.DROP

    def _drop(self, callback: Callback, error: Exception) -> None:
        """Take out a callback that raised: the sweep stops for the user's own, and continues without a tracker."""
        self._trackers = [one for one in self._trackers if one is not callback]
        self._others = [one for one in self._others if one is not callback]
        if self._policy(callback) is ErrorPolicy.STOP:
            self.error = self.error or error
            return
        name = type(callback).__name__
        if isinstance(callback, Tracker):
            name = callback.title or callback.name
            with contextlib.suppress(Exception):
                callback.close()
        place = "" if isinstance(callback, Tracker) else raised_at(error, type(callback))
        self.on_log(f"{name}: {place}{_cause(error)}; the sweep continues without it")


def _cause(error: Exception) -> str:
    if isinstance(error, OSError | FolderError):
        return f"cannot write ({getattr(error.__cause__ or error, 'strerror', None) or error})"
    return " ".join(f"{type(error).__name__}: {error}".split())


def _decisions(returned: Any) -> Mapping[str, Decision] | None:
    """Return the decisions that a callback returned after an epoch.

    Raises:
        TypeError: it returned something else.
    """
    if returned is None:
        return None
    try:
        return {run_id: Decision(decision) for run_id, decision in returned.items()}
    except (AttributeError, ValueError):
        allowed = "None, or a mapping from ids of runs to a Decision: continue, stop or interrupt"
        raise TypeError(f"on_epoch_end returned {returned!r:.60}, allowed is {allowed}") from None


def _merged(decisions: Sequence[Mapping[str, Decision] | None]) -> dict[str, Decision]:
    """Return the decisions of all callbacks; INTERRUPT wins over STOP, and STOP over CONTINUE."""
    merged: dict[str, Decision] = {}
    for decision in (Decision.CONTINUE, Decision.STOP, Decision.INTERRUPT):
        for of_one in filter(None, decisions):
            merged.update({run_id: found for run_id, found in of_one.items() if found is decision})
    return merged
