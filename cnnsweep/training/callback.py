"""The protocol between the trainer and its caller. It imports no torch, so that the contract of executors does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from cnnsweep.types import Decision, EpochReport, RunOutcome


class TrainerCallback(Protocol):
    """Receiver of the trainer's reports, which decides about stopping runs."""

    def on_batch_end(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        """Handle progress inside an epoch; called after every batch, so it must be quick."""

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
        """Record an epoch, and return decisions by run id; a run without one continues.

        Args:
            reports: of one epoch; at least one. Runs that were ahead after a crash have reported it before.

        Returns:
            Decisions about runs of the group that are at this epoch, also runs without a report. Decisions about other
            runs have no effect. If every reported run is interrupted, so is the whole group.
        """

    def on_resume(self, run_ids: Sequence[str]) -> Mapping[str, Decision]:
        """Return decisions about runs that resume from their checkpoints, as `on_epoch_end` does, before they train.

        A crash may have happened between an epoch's record and the decision about it. Called once for a group whose
        runs have trained the same number of epochs, at least one; if some are ahead, the next `on_epoch_end` decides
        for all. After a split of the group it is called again, for an epoch that may have a decision already.
        """

    def on_run_end(self, outcome: RunOutcome) -> None:
        """Handle the end of a run."""
