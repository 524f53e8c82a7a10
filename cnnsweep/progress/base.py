"""What a sweep tells whoever watches it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cnnsweep.metrics.objective import Objective
from cnnsweep.types import EpochRecord, Run, RunOutcome


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A sweep that somebody else trains, and that began before it is shown. Of batches nothing is known.

    Attributes:
        elapsed_s: since the first run of the present command started.
        records: epochs of the present command so far.
        source: says in words who trains, and when there was news; asked whenever it is shown, so it must be quick.
    """

    elapsed_s: float
    records: Sequence[EpochRecord]
    source: Callable[[], str]


@dataclass(frozen=True, slots=True)
class SweepOverview:
    """What is known before the first run starts.

    Attributes:
        columns: the settings to show, those that vary; all of them where none does. A run may lack some.
        runs: every run that is known, in order, also those that are done.
        history: epochs trained before this session, by run id; also of runs that only a later round will name.
        outcomes: how runs ended before this session, the same.
        runs_to_come: how many further runs a search will ask for at most; 0 where all are known.
        under_way: of a sweep that is only watched.
        elapsed_before: seconds that earlier commands trained.
        elapsed: says how many seconds all commands have trained so far, as the report will; None asks the own clock.
        chance: the validation accuracy of always answering the largest class, where it is known.
    """

    name: str
    folder: str
    device: str
    columns: tuple[str, ...]
    runs: tuple[Run, ...]
    objective: Objective
    history: Mapping[str, Sequence[EpochRecord]]
    outcomes: Mapping[str, RunOutcome]
    runs_to_come: int = 0
    under_way: UnderWay | None = None
    elapsed_before: float = 0.0
    elapsed: Callable[[], float] | None = None
    chance: float | None = None


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
