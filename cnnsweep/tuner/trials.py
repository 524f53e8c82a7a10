"""The runs of a sweep: those that its file names, and those that a search has asked for so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from cnnsweep.config.schema import SweepSpec
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.errors import ModelError, UsageError
from cnnsweep.progress.base import SweepDisplay
from cnnsweep.storage.state import SweepHistory
from cnnsweep.storage.writer import Recorder
from cnnsweep.tuner.preparation import count_parameters, notes_on_models
from cnnsweep.tuner.sampling import Asker
from cnnsweep.types import Run, RunStatus


class Roster:
    """Knows which runs there are, and which of them are to be trained now."""

    def __init__(
        self, spec: SweepSpec, retry_failed: bool, named: Sequence[Run], asker: Asker, history: SweepHistory
    ) -> None:
        self._early_stop = spec.early_stop
        self._retry_failed = retry_failed
        self._asker = asker
        self._history = history
        self._named = tuple(named)
        self._looked_at: set[str] = set()  # models
        self._taken: set[str] = set()  # a command trains each run once, whatever becomes of it, and so comes to an end
        asked = asker.known_runs(history)
        # A file that was edited may name what a search had asked for before.
        self.runs = _with_known_names({run.id: run for run in (*named, *asked)}.values(), history)

    def count_parameters(self, dataset: Dataset) -> Mapping[str, int]:
        """Check the models, and return each run's number of parameters by its id.

        Raises:
            ModelError: one that the file names does not fit. A search may choose some that do not: such a run fails.
        """
        named = count_parameters(self._named, dataset)
        return named | _parameters_if_built([run for run in self.runs if run.id not in named], dataset)

    def tell_of_models(self, runs: Sequence[Run], dataset: Dataset, display: SweepDisplay) -> None:
        """Say what a person should know of the models' outputs, each line once."""
        new = [run for run in runs if repr(run.model) not in self._looked_at]
        self._looked_at.update(repr(run.model) for run in new)
        for note in notes_on_models(new, dataset):
            display.message(note)

    def ask(self, dataset: Dataset, recorder: Recorder, display: SweepDisplay) -> bool:
        """Take in the next round of a search, if one is due now; return whether one was.

        Raises:
            ModelError: no model of the sweep fits.
            UsageError: conditions leave nothing to train.
        """
        asked = self._asker.ask(self._history, self.runs)
        if asked is None:
            return False
        new = _with_known_names(asked.runs, self._history)  # known from before the space was edited
        parameters = _parameters_if_built(new, dataset)
        if new and not self.runs and not any(parameters.values()):
            count_parameters(new, dataset)  # raises: nothing would ever train
        self.tell_of_models(new, dataset, display)
        recorder.record_round(asked.event, [(run, parameters[run.id]) for run in new])
        self.runs = (*self.runs, *new)
        display.runs_added(new, self._asker.runs_to_come(self._history))
        if not self.runs:
            raise UsageError("exclude: its conditions leave the search no setting to train")
        if not new:
            display.message("no further setting was found that is not excluded: the search ends here")
        return True

    def take_missing(self) -> list[Run]:
        """Return the runs that are to be trained now; none of them twice."""
        missing = [run for run in self.runs if run.id not in self._taken and self._is_missing(run)]
        self._taken.update(run.id for run in missing)
        return missing

    @property
    def not_done(self) -> list[Run]:
        """Runs that are known and have not ended."""
        known = self._history.runs
        return [run for run in self.runs if run.id not in known or not known[run.id].status.is_final]

    @property
    def is_whole(self) -> bool:
        """True if all runs have ended, and no further ones are to be asked for."""
        have_ended = all(self._history.runs[run.id].status.is_final for run in self.runs)
        return have_ended and not self._asker.runs_to_come(self._history)

    def _is_missing(self, run: Run) -> bool:
        status = self._history.runs[run.id].status
        if status is RunStatus.STOPPED:
            return self._early_stop is None  # who takes the rule out of the file wants them to go on
        return not status.is_final or (self._retry_failed and status in (RunStatus.FAILED, RunStatus.DIVERGED))


def _with_known_names(runs: Iterable[Run], history: SweepHistory) -> tuple[Run, ...]:
    """A run keeps its folder, though an edited sweep file would name it differently."""
    known = history.runs
    return tuple(dataclasses.replace(run, name=known[run.id].name) if run.id in known else run for run in runs)


def _parameters_if_built(runs: Sequence[Run], dataset: Dataset) -> dict[str, int]:
    """Return each run's number of parameters, by its id; 0 for a model that does not fit, which fails as it starts."""
    try:
        return count_parameters(runs, dataset)
    except ModelError:
        if len(runs) == 1:
            return {runs[0].id: 0}
        half = len(runs) // 2
        return _parameters_if_built(runs[:half], dataset) | _parameters_if_built(runs[half:], dataset)
