"""Base class of the displays: the callbacks that show a sweep's progress."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

from cnnsweep.callbacks import Callback, ErrorPolicy, HasRecord, RunInfo, SweepOverview
from cnnsweep.progress.state import SweepProgress
from cnnsweep.types import EpochRecord, RunGroup, RunOutcome, RunStatus


class Display(Callback):
    """Keeps a sweep's progress up to date; subclasses show it.

    The events come from the process that trains, or from its journal. No method raises if the terminal is gone:
    training continues without a display.
    """

    error_policy: ClassVar[ErrorPolicy] = ErrorPolicy.RAISE
    _progress: SweepProgress | None = None

    @property
    def progress(self) -> SweepProgress:
        assert self._progress, "on_sweep_start comes first"
        return self._progress

    def changing(self) -> AbstractContextManager[None]:
        """Return the context in which the progress changes."""
        return nullcontext()

    def on_sweep_start(self, sweep: SweepOverview) -> None:
        self._progress = SweepProgress(sweep)

    def on_trials_added(self, runs: Sequence[RunInfo], to_come: int) -> None:
        with self.changing():
            self.progress.runs_added(runs, to_come)

    def on_run_start(self, run: RunInfo, last: EpochRecord | None) -> None:
        with self.changing():
            self.progress.run_started(run.id)

    def on_epoch_end(self, reports: Sequence[HasRecord]) -> None:
        with self.changing():
            for report in reports:
                self.progress.epoch_ended(report.record)

    def on_run_end(self, outcome: RunOutcome) -> None:
        with self.changing():
            self.progress.run_ended(outcome)

    def on_group_split(self, parts: Sequence[RunGroup], cause: str) -> None:
        """Mark the runs as waiting until their part starts."""
        for part in parts:
            self.on_group_lost(part, cause)

    def on_group_lost(self, group: RunGroup, cause: str) -> None:
        """Mark the runs as waiting for another worker."""
        for run in group.runs:
            self.on_run_end(RunOutcome(run.id, RunStatus.WAITING))

    def close(self) -> None:
        """Restore the terminal. It may be called more than once, and without `on_sweep_start`."""
