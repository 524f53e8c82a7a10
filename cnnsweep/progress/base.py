"""Base class of the displays: the callbacks that show a sweep's progress on stderr."""

from collections.abc import Sequence
from typing import ClassVar

from cnnsweep.callbacks import Callback, ErrorPolicy, HasRecord
from cnnsweep.types import RunGroup, RunOutcome, RunStatus


class Display(Callback):
    """Shows a sweep's progress. No method raises if the terminal is gone: training continues without a display."""

    error_policy: ClassVar[ErrorPolicy] = ErrorPolicy.RAISE

    def on_epoch_end(self, reports: Sequence[HasRecord]) -> None:
        """Show the metrics of some runs; of a replayed epoch there are no tensors."""

    def on_group_split(self, parts: Sequence[RunGroup], cause: str) -> None:
        """Show that the runs wait until their part starts."""
        for part in parts:
            self.on_group_lost(part, cause)

    def on_group_lost(self, group: RunGroup, cause: str) -> None:
        """Show that the runs wait for another worker."""
        for run in group.runs:
            self.on_run_end(RunOutcome(run.id, RunStatus.WAITING))

    def close(self) -> None:
        """Restore the terminal. It may be called more than once, and without `on_sweep_start`."""
