"""The protocol between the trainer and its caller. It imports no torch, so that the contract of executors does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from cnnsweep.types import Decision, EpochReport, RunOutcome


class TrainerCallback(Protocol):
    """Takes the reports of the trainer, and decides which runs stop."""

    def on_batch_end(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        """Handle progress inside an epoch; called after every batch, so it must be quick."""

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
        """Record an epoch, and return decisions by run id; a run without one continues.

        Args:
            reports: of one epoch; at least one. Runs that were ahead after a crash have reported it before.

        Returns:
            Decisions about any runs of the group that are at this epoch, also those without a report. About other
            runs they have no effect. If every run reported is interrupted, so is the whole group.
        """

    def on_resume(self, run_ids: Sequence[str]) -> Mapping[str, Decision]:
        """Return decisions about runs that resume from their checkpoints, as `on_epoch_end` does, before they train.

        A crash may have come between an epoch's record and the decision about it. Called once for a group whose runs
        have all trained for equally many epochs, at least one; where some are ahead, the next `on_epoch_end` is to
        decide for all. A group that goes on in parts asks again, about an epoch that may have been decided about.
        """

    def on_run_end(self, outcome: RunOutcome) -> None:
        """Handle the end of a run."""
