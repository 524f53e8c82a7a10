"""The trial queue: the runs of the sweep file, and those of the trials that a sampler has suggested so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from cnnsweep.callbacks import Callback
from cnnsweep.config.schema import SweepSpec
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.errors import ModelError, UsageError
from cnnsweep.models.check import count_parameters, notes_on_models
from cnnsweep.storage.state import SweepState
from cnnsweep.storage.writer import SweepWriter
from cnnsweep.training.check_components import check_components
from cnnsweep.tuner.sampling import TrialSource
from cnnsweep.types import Run, RunStatus


class TrialQueue:
    """The runs of a sweep, and the order in which they are to train.

    Attributes:
        runs: all that are known, in the order of the sweep.
    """

    def __init__(
        self, spec: SweepSpec, retry_failed: bool, named: Sequence[Run], source: TrialSource, history: SweepState
    ) -> None:
        self._early_stop = spec.early_stop
        self._retry_failed = retry_failed
        self._source = source
        self._history = history
        self._named = tuple(named)
        self._checked: set[str] = set()  # models
        self._popped: set[str] = set()  # a command trains each run once, whatever becomes of it, and so comes to an end
        suggested = source.known_runs(history)
        # An edited file may name a run that a sampler had suggested before.
        self.runs = _with_known_names({run.id: run for run in (*named, *suggested)}.values(), history)

    @property
    def mixed_epochs(self) -> bool:
        """True if trials are added while others wait at a rung, so that runs train together at different epochs."""
        return self._source.is_asynchronous

    @property
    def to_come(self) -> int:
        """The most runs that the sampler will still suggest."""
        return self._source.runs_to_come(self._history)

    @property
    def not_done(self) -> list[Run]:
        """Known runs that have not ended."""
        known = self._history.runs
        return [run for run in self.runs if run.id not in known or not known[run.id].status.is_final]

    @property
    def is_complete(self) -> bool:
        """True if all runs have ended and the sampler has no more to suggest."""
        have_ended = all(self._history.runs[run.id].status.is_final for run in self.runs)
        return have_ended and not self.to_come

    def count_parameters(self, dataset: Dataset) -> Mapping[str, int]:
        """Check the models, and return each run's number of parameters by its id.

        Raises:
            ModelError: a model of the file does not fit. A sampler may suggest some that do not: such a run fails.
        """
        named = _count_parameters(self._named, dataset)
        return named | _parameters_if_built([run for run in self.runs if run.id not in named], dataset)

    def log_models(self, runs: Sequence[Run], dataset: Dataset, log: Callable[[str], None]) -> None:
        """Log each warning about the models' outputs once."""
        new = [run for run in runs if repr(run.model) not in self._checked]
        self._checked.update(repr(run.model) for run in new)
        for note in notes_on_models([run.model for run in new], dataset.train.image_shape, len(dataset.classes)):
            log(note)

    def pop_pending(self) -> list[Run]:
        """Return the runs to train now; each only once."""
        pending = [run for run in self.runs if run.id not in self._popped and self._is_pending(run)]
        self._popped.update(run.id for run in pending)
        return pending

    def suggest(self, dataset: Dataset, writer: SweepWriter, callbacks: Callback) -> bool:
        """Add the next trials of the sampler, if some are due; return whether they were.

        Raises:
            ModelError: no model of the sweep fits.
            UsageError: the conditions of the file leave nothing to train.
        """
        suggested = self._source.ask(self._history, self.runs)
        if suggested is None:
            return False
        new = _with_known_names(suggested.runs, self._history)  # known from before the space was edited
        parameters = _parameters_if_built(new, dataset)
        if new and not self.runs and not any(parameters.values()):
            _count_parameters(new, dataset)  # raises: nothing would ever train
        self.log_models(new, dataset, callbacks.on_log)
        writer.record_round(suggested.event, [(run, parameters[run.id]) for run in new])
        self.runs = (*self.runs, *new)
        callbacks.on_trials_added(new, self.to_come)
        if not self.runs:
            raise UsageError("exclude: its conditions leave the search no trial to train")
        if not new:
            callbacks.on_log("search space exhausted: every remaining configuration is excluded or already trained")
        return True

    def _is_pending(self, run: Run) -> bool:
        status = self._history.runs[run.id].status
        if status is RunStatus.STOPPED:
            return self._early_stop is None  # a file without a pruner means that pruned runs resume
        return not status.is_final or (self._retry_failed and status in (RunStatus.FAILED, RunStatus.DIVERGED))


def _with_known_names(runs: Iterable[Run], history: SweepState) -> tuple[Run, ...]:
    """A run keeps its folder, though an edited sweep file would name it differently."""
    known = history.runs
    return tuple(dataclasses.replace(run, name=known[run.id].name) if run.id in known else run for run in runs)


def _count_parameters(runs: Sequence[Run], dataset: Dataset) -> dict[str, int]:
    check_components(runs)
    return count_parameters(runs, dataset.train.image_shape, len(dataset.classes))


def _parameters_if_built(runs: Sequence[Run], dataset: Dataset) -> dict[str, int]:
    """Return each run's number of parameters, by its id; 0 where its model does not fit: it will fail."""
    try:
        return _count_parameters(runs, dataset)
    except (ModelError, UsageError):
        if len(runs) == 1:
            return {runs[0].id: 0}
        half = len(runs) // 2
        return _parameters_if_built(runs[:half], dataset) | _parameters_if_built(runs[half:], dataset)
