"""The trial queue: the runs of the sweep file, and those of the trials that a sampler has suggested so far."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import Expansion
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.errors import ModelError, UsageError
from cnnsweep.models.check import count_parameters, notes_on_models
from cnnsweep.planning.disk_space import refuse_full_disk
from cnnsweep.planning.stage import keeps_lockstep
from cnnsweep.storage.state import SweepState
from cnnsweep.storage.writer import SweepWriter
from cnnsweep.training.check_class_weights import check_weighted_losses
from cnnsweep.training.check_components import check_components, check_searched
from cnnsweep.training.check_losses import check_losses, check_searched_losses
from cnnsweep.training.check_steps import check_steps
from cnnsweep.training.data_module import DataModule, foresee_single_images
from cnnsweep.tuner.callbacks import CallbackList
from cnnsweep.tuner.sampling import TrialSource
from cnnsweep.types import Run, RunStatus


class TrialQueue:
    """The runs of a sweep, and the order in which they are to train.

    Args:
        named: the runs of the trials that the sweep file names.
        source: suggests further trials.
        retry_failed: train failed and diverged runs again.

    Attributes:
        lockstep: see `keeps_lockstep`.
        parameters: the number of parameters of each run's model by run id; 0 if it does not fit. See `check_models`.
        runs: all known runs, in the order of the sweep.
    """

    def __init__(
        self, spec: SweepSpec, named: Expansion, source: TrialSource, history: SweepState, *, retry_failed: bool
    ) -> None:
        self.lockstep = keeps_lockstep(spec)
        self.parameters: dict[str, int] = {}
        self._image_shape, self._num_classes, self._is_multi_label = (0, 0, 0), 0, False
        self._spec = spec
        self._stops_runs = spec.early_stop is not None or bool(spec.callbacks)
        self._has_histograms = spec.tensorboard.histograms
        self._retry_failed = retry_failed
        self._source = source
        self._history = history
        self._named = named
        self._checked: set[str] = set()  # models
        self._popped: set[str] = set()  # a command trains each run once, with any outcome, and so ends
        suggested = source.known_runs(history)
        # An edited file may name a run that a sampler had suggested before.
        self.runs = _with_known_names({run.id: run for run in (*named.runs, *suggested)}.values(), history)

    @property
    def mixed_epochs(self) -> bool:
        """True if trials are added while others wait at a rung, so that runs train together at different epochs."""
        return self._source.is_asynchronous

    @property
    def to_come(self) -> int:
        """The most runs that the sampler will still suggest."""
        return self._source.runs_to_come(self._history)

    @property
    def is_complete(self) -> bool:
        """True if all runs have ended and the sampler has no more to suggest."""
        have_ended = all(self._history.runs[run.id].status.is_final for run in self.runs)
        return have_ended and not self.to_come

    def check_models(self, dataset: Dataset) -> None:
        """Check the models against the images and classes, and count their parameters.

        Raises:
            ModelError: a model of the file does not fit. A sampler may suggest some that do not: such a run fails.
        """
        self._image_shape, self._num_classes = dataset.train.image_shape, len(dataset.classes)
        self._is_multi_label = dataset.is_multi_label
        check_searched_losses(self._spec, self._num_classes, several=self._is_multi_label)
        check_searched(self._spec)
        named = self._count_parameters(self._named.runs)
        self.parameters = named | self._parameters_if_built([run for run in self.runs if run.id not in named])

    def check_pending(self, data: DataModule, folder: Path) -> list[str]:
        """Check the pending runs against the data and the disk, and return notes for the user.

        Args:
            folder: of the sweep; it exists.

        Raises:
            SpecError: `drop_last` leaves a run no batch, or `freeze_bn` finds no layer.
            ModelError: all batches of a run are of one image, and its network cannot train on that.
            DiskFullError: the disk is too small for a single run.
        """
        known, images = self._history.runs, len(data.parts[0].training)
        pending = [run for run in self.runs if run.id not in known or not known[run.id].status.is_final]
        check_steps(self._spec, pending, data)
        single_images = foresee_single_images(pending, data)
        small_disk = refuse_full_disk(folder, pending, self.parameters, images, histograms=self._has_histograms)
        small_space = self._source.space_note if self.to_come else None
        notes = [_duplicates_note(self._named.duplicates), *single_images, small_space, small_disk]
        return [*(note for note in notes if note is not None), *self._notes_on_models(self.runs)]

    def _notes_on_models(self, runs: Sequence[Run]) -> list[str]:
        """Return warnings about models that had none before."""
        new = [run for run in runs if repr(run.model) not in self._checked]
        self._checked.update(repr(run.model) for run in new)
        return notes_on_models(
            [run.model for run in new], self._image_shape, self._num_classes, is_multi_label=self._is_multi_label
        )

    def pop_pending(self) -> list[Run]:
        """Return the runs to train now; each only once."""
        pending = [run for run in self.runs if run.id not in self._popped and self._is_pending(run)]
        self._popped.update(run.id for run in pending)
        return pending

    def suggest(self, writer: SweepWriter, callbacks: CallbackList) -> bool:
        """Add the next trials of the sampler, if some are due; return whether they were.

        Raises:
            ModelError: no model of the sweep fits.
            UsageError: the conditions of the file leave nothing to train.
        """
        suggested = self._source.ask(self._history, self.runs)
        if suggested is None:
            return False
        new = _with_known_names(suggested.runs, self._history)  # known from before the space was edited
        parameters = self._parameters_if_built(new)
        if new and not self.runs and not any(parameters.values()):
            self._count_parameters(new)  # raises: nothing would ever train
        callbacks.log_each(self._notes_on_models(new))
        writer.record_round(suggested.event, new, parameters)
        self.parameters |= parameters
        self.runs = (*self.runs, *new)
        callbacks.on_trials_added(new, self.to_come)
        if not self.runs:
            raise UsageError("exclude: its conditions leave the search no trial to train")
        if not new:
            callbacks.on_log("search space exhausted: every remaining trial is excluded or already trained")
        return True

    def _is_pending(self, run: Run) -> bool:
        status = self._history.runs[run.id].status
        if status is RunStatus.STOPPED:
            return not self._stops_runs  # a file without pruner and callbacks means that stopped runs resume
        return not status.is_final or (self._retry_failed and status in (RunStatus.FAILED, RunStatus.DIVERGED))

    def _count_parameters(self, runs: Sequence[Run]) -> dict[str, int]:
        check_components(runs)
        check_losses(runs, self._num_classes, several=self._is_multi_label)
        if self._is_multi_label:
            check_weighted_losses(runs)
        return count_parameters(runs, self._image_shape, self._num_classes)

    def _parameters_if_built(self, runs: Sequence[Run]) -> dict[str, int]:
        """Return each run's number of parameters, by its id; 0 where its model does not fit: it will fail."""
        try:
            return self._count_parameters(runs)
        except (ModelError, UsageError):
            if len(runs) == 1:
                return {runs[0].id: 0}
            half = len(runs) // 2
            return self._parameters_if_built(runs[:half]) | self._parameters_if_built(runs[half:])


def _with_known_names(runs: Iterable[Run], history: SweepState) -> tuple[Run, ...]:
    """A run keeps its folder, though an edited sweep file would name it differently."""
    known = history.runs
    return tuple(dataclasses.replace(run, name=known[run.id].name) if run.id in known else run for run in runs)


def _duplicates_note(count: int) -> str | None:
    if not count:
        return None
    repeats = "1 combination repeats another and is" if count == 1 else f"{count:,} combinations repeat others and are"
    return f"{repeats} trained once"
