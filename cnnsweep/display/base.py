"""What a sweep tells whoever watches it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cnnsweep.records import EpochRecord, Run, RunOutcome
from cnnsweep.selection import Objective


@dataclass(frozen=True, slots=True)
class SweepOverview:
    """What is known before the first run starts.

    Attributes:
        columns: the settings to show, those that vary; all of them where none does.
        runs: every run of the sweep, in order, also those that are done.
        history: epochs trained before this session, by run id.
        outcomes: how runs ended before this session, by run id.
    """

    name: str
    folder: str
    device: str
    columns: tuple[str, ...]
    runs: tuple[Run, ...]
    objective: Objective
    history: Mapping[str, Sequence[EpochRecord]]
    outcomes: Mapping[str, RunOutcome]


class SweepDisplay(Protocol):
    """Shows a sweep's progress on stderr. No method raises because the terminal is gone: training goes on unseen."""

    def sweep_started(self, overview: SweepOverview) -> None:
        """Show what is going to happen; called once, before any other method but `note`, `message` and `close`."""

    def run_started(self, run_id: str) -> None:
        """Show that a run trains now."""

    def batches_done(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        """Note that `done` of an epoch's `total` batches are through; cheap, so that it can be called for each."""

    def epoch_ended(self, record: EpochRecord, is_best: bool) -> None:
        """Show a run's figures; `is_best` if this is its own best epoch so far, whose weights are kept."""

    def run_ended(self, outcome: RunOutcome) -> None:
        """Show how a run ended."""

    def note(self, text: str) -> None:
        """Show what may interest a person who watches."""

    def message(self, text: str) -> None:
        """Show what a person should know."""

    def close(self) -> None:
        """Leave the terminal as it was; may be called more than once, and without `sweep_started`."""
