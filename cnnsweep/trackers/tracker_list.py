"""The trackers of a sweep as one callback; an error of one does not stop the sweep or the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from cnnsweep.callbacks import WARNING, SweepOverview
from cnnsweep.errors import FolderError
from cnnsweep.storage.writer import Trackers
from cnnsweep.trackers.base import Tracker, TrackerContext
from cnnsweep.types import EpochRecord, EpochReport, Run, RunGroup, RunOutcome


class TrackerList(Trackers):
    """Passes every event to each tracker in order; drops one that raises, after a line for the user.

    Args:
        warn: takes that line.
    """

    def __init__(self, trackers: Sequence[Tracker], context: TrackerContext, warn: Callable[[str], None]) -> None:
        self._trackers = list(trackers)
        self._context = context
        self._warn = warn

    def setup(self) -> None:
        """Prepare all trackers."""
        self._each("setup", self._context)

    def close(self) -> None:
        """Close all trackers; may be called more than once."""
        self._each("close")
        self._trackers.clear()

    def on_sweep_start(self, sweep: SweepOverview) -> None:
        self._each("on_sweep_start", sweep)

    def on_trials_added(self, runs: Sequence[Run], to_come: int) -> None:
        self._each("on_trials_added", runs, to_come)

    def on_rewind(self, run: Run, last: EpochRecord | None) -> None:
        self._each("on_rewind", run, last)

    def on_run_start(self, run: Run, last: EpochRecord | None) -> None:
        self._each("on_run_start", run, last)

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> None:
        self._each("on_epoch_end", reports)

    def on_run_end(self, outcome: RunOutcome) -> None:
        self._each("on_run_end", outcome)

    def on_group_split(self, parts: Sequence[RunGroup], cause: str) -> None:
        self._each("on_group_split", parts, cause)

    def on_group_lost(self, group: RunGroup, cause: str) -> None:
        self._each("on_group_lost", group, cause)

    def on_log(self, text: str, level: int = WARNING) -> None:
        self._each("on_log", text, level)

    def on_sweep_end(self, status: str) -> None:
        self._each("on_sweep_end", status)

    def _each(self, event: str, *arguments: Any) -> None:
        for tracker in list(self._trackers):
            try:
                getattr(tracker, event)(*arguments)
            except Exception as error:  # another program's failure, or the user's code: the results are safe
                self._drop(tracker, error)

    def _drop(self, tracker: Tracker, error: Exception) -> None:
        self._trackers.remove(tracker)
        with suppress(Exception):
            tracker.close()
        self._warn(f"{tracker.title or tracker.name}: {_cause(error)}; the sweep goes on without it")


def _cause(error: Exception) -> str:
    if isinstance(error, OSError | FolderError):
        return f"cannot write ({getattr(error.__cause__ or error, 'strerror', None) or error})"
    return " ".join(f"{type(error).__name__}: {error}".split())
