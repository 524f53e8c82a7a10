"""Calls the user's `on_epoch` function after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnsweep.callbacks import Callback, RunInfo, SweepOverview
from cnnsweep.storage.results_tables import epoch_row
from cnnsweep.types import EpochRecord, EpochReport


class FunctionCallback(Callback):
    """Calls a function with each epoch of each run, as a row of `Sweep.epochs`."""

    def __init__(self, on_epoch: Callable[[Mapping[str, Any]], None]) -> None:
        self._on_epoch = on_epoch
        self._runs: dict[str, RunInfo] = {}

    def on_sweep_start(self, sweep: SweepOverview) -> None:
        """Keep the runs, for the names and parameters in the rows."""
        self.on_trials_added(sweep.runs, sweep.runs_to_come)

    def on_trials_added(self, runs: Sequence[RunInfo], to_come: int) -> None:
        """Keep these too."""
        self._runs.update((run.id, run) for run in runs)

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> None:
        """Call the function for each run."""
        for report in reports:
            self._on_epoch(_row(self._runs[report.record.run_id], report.record))


def _row(run: RunInfo, record: EpochRecord) -> Mapping[str, Any]:
    """Return a row as in `results.csv`."""
    return epoch_row(run.name, record, tuple(record.metrics), run.params)
