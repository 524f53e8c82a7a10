"""What a sweep tells whoever watches it."""

from collections.abc import Sequence
from typing import Protocol

from cnnsweep.callbacks import SweepOverview
from cnnsweep.types import EpochRecord, Run, RunOutcome


class SweepDisplay(Protocol):
    """Shows a sweep's progress on stderr. No method raises because the terminal is gone: training goes on unseen."""

    def sweep_started(self, overview: SweepOverview) -> None:
        """Show what is going to happen; called once, before any other method but `note`, `message` and `close`."""

    def runs_added(self, runs: Sequence[Run], to_come: int) -> None:
        """Take in the runs of a search's next round, after those that are there; known ones are left as they are.

        Args:
            runs: the round's runs, in order; none of them where only the number to come has changed.
            to_come: how many further runs the search will ask for at most; takes the place of the number before.
        """

    def run_started(self, run_id: str) -> None:
        """Show that a run trains now."""

    def batches_done(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        """Note that `done` of an epoch's `total` batches are through; cheap, so that it can be called for each."""

    def epoch_ended(self, record: EpochRecord, standing: EpochRecord | None) -> None:
        """Show a run's figures.

        Args:
            standing: what stands for the run now (`Objective.standing`); None while no epoch has a finite figure.
        """

    def run_ended(self, outcome: RunOutcome) -> None:
        """Show how a run ended; one that was stopped early may end without having started."""

    def note(self, text: str) -> None:
        """Show what may interest a person who watches."""

    def message(self, text: str) -> None:
        """Show what a person should know."""

    def close(self) -> None:
        """Leave the terminal as it was; may be called more than once, and without `sweep_started`."""
