"""Makes the trackers of a sweep, with the facts about the sweep that they may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trackers_field import TrackerChoice
from cnnsweep.config.trials import columns_that_vary, possible_values
from cnnsweep.datasets.load import Dataset
from cnnsweep.models.logits import giving_logits
from cnnsweep.models.registry import build_model
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import SweepHistory
from cnnsweep.trackers.base import TRACKERS, Tracker, TrackerContext, failure_text
from cnnsweep.training.data_module import TrainingTask
from cnnsweep.types import Run

_SAMPLE_IMAGES = 32


def make_trackers(spec: SweepSpec, context: TrackerContext, warn: Callable[[str], None]) -> list[Tracker]:
    """Return the trackers that a sweep file names, prepared; one that cannot be prepared is reported and left out.

    Raises:
        UsageError: the code of a tracker cannot be imported.
    """
    trackers = []
    for tracker in [_make(choice, spec) for choice in spec.trackers]:
        try:
            tracker.setup(context)
        except Exception as error:  # another program's failure, or the user's code
            warn(failure_text(tracker, error))
        else:
            trackers.append(tracker)
    return trackers


def close_trackers(trackers: Sequence[Tracker], warn: Callable[[str], None]) -> None:
    """Close trackers at the end of a sweep; those that were dropped too."""
    for tracker in trackers:
        try:
            tracker.close()
        except Exception as error:
            warn(failure_text(tracker, error))


def make_tracker_context(
    spec: SweepSpec, dataset: Dataset, task: TrainingTask, paths: SweepPaths, history: SweepHistory, *, is_edited: bool
) -> TrackerContext:
    """Return the facts about a sweep that its trackers may use.

    Args:
        is_edited: the sweep file has changed since the last command.
    """
    shape, classes = dataset.train.image_shape, len(dataset.classes)
    known = [run.settings for run in history.runs.values()]  # some maybe of an earlier sweep file

    def make_model(run: Run) -> nn.Module:
        return giving_logits(build_model(run.model, shape, classes, seed=0), torch.zeros(1, *shape), classes)

    def sample_images() -> Tensor:
        first = task.parts[0].training[:_SAMPLE_IMAGES]
        return next(dataset.train.batches([first], torch.device("cpu")))[0]

    return TrackerContext(
        sweep=spec.name,
        paths=paths,
        history=history,
        varying=frozenset(columns_that_vary(spec)),
        values={
            name: [*values, *(params.get(name) for params in known)] for name, values in possible_values(spec).items()
        },
        is_edited=is_edited,
        make_model=make_model,
        image_shape=shape,
        sample_images=sample_images,
    )


def _make(choice: TrackerChoice, spec: SweepSpec) -> Tracker:
    own_key = spec.tensorboard.model_dump() if choice.name == "tensorboard" else {}
    return TRACKERS.get(choice.name)(**{**own_key, **choice.options})
