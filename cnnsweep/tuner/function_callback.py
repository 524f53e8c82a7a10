"""Lets a person's own function hear of every epoch, beside a display."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnsweep.callbacks import SweepOverview
from cnnsweep.progress.base import SweepDisplay
from cnnsweep.storage.results_tables import epoch_row
from cnnsweep.types import EpochRecord, Run


class HeardDisplay:
    """Passes everything on to a display, and each epoch to a function.

    Attributes:
        error: what the function raised; the sweep then stops as if Ctrl-C had been pressed.
    """

    def __init__(self, display: SweepDisplay, on_epoch: Callable[[Mapping[str, Any]], None] | None) -> None:
        self._display = display
        self._on_epoch = on_epoch
        self._runs: dict[str, Run] = {}
        self.error: Exception | None = None
        self.run_started = display.run_started
        self.batches_done = display.batches_done
        self.run_ended = display.run_ended
        self.note = display.note
        self.message = display.message
        self.close = display.close

    def sweep_started(self, overview: SweepOverview) -> None:
        """Remember the runs, to name those that are heard of."""
        self._runs.update((run.id, run) for run in overview.runs)
        self._display.sweep_started(overview)

    def runs_added(self, runs: Sequence[Run], to_come: int) -> None:
        """Remember these too."""
        self._runs.update((run.id, run) for run in runs)
        self._display.runs_added(runs, to_come)

    def epoch_ended(self, record: EpochRecord, standing: EpochRecord | None) -> None:
        """Call the function; the epoch is saved by then.

        Raises:
            KeyboardInterrupt: the function raised: an exception here would count as a failure of the run.
        """
        self._display.epoch_ended(record, standing)
        if self._on_epoch is None or self.error is not None:
            return
        try:
            self._on_epoch(_row(self._runs[record.run_id], record))
        except Exception as error:
            self.error = error
            raise KeyboardInterrupt from error


def _row(run: Run, record: EpochRecord) -> Mapping[str, Any]:
    """Return a row as `results.csv` has it."""
    return epoch_row(run.name, record, tuple(record.metrics), run.settings)
