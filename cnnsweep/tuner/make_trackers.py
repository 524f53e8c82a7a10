"""Makes the trackers of a sweep, with the facts about the sweep that they may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import columns_that_vary, possible_values
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.models.build import build_model
from cnnsweep.models.logits import giving_logits
from cnnsweep.storage.compatibility import has_other_spec
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import SweepState
from cnnsweep.trackers.base import TRACKERS, Tracker, TrackerContext
from cnnsweep.training.data_module import DataModule
from cnnsweep.types import Choice, Run

_SAMPLE_IMAGES = 32


def make_trackers(
    spec: SweepSpec,
    dataset: Dataset,
    task: DataModule,
    paths: SweepPaths,
    history: SweepState,
    facts: Mapping[str, Any],
) -> tuple[list[Tracker], TrackerContext]:
    """Return the trackers that a sweep file names, and the sweep as they see it.

    Args:
        facts: see `sweep_facts`.

    Raises:
        UsageError: a tracker's code cannot be imported.
    """
    shape, classes = dataset.train.image_shape, len(dataset.classes)
    known = [run.params for run in history.runs.values()]  # some maybe of an earlier sweep file

    def make_model(run: Run) -> nn.Module:
        return giving_logits(build_model(run.model, shape, classes, seed=0), torch.zeros(1, *shape), classes)

    def sample_images() -> Tensor:
        first = task.parts[0].training[:_SAMPLE_IMAGES]
        return next(dataset.train.batches([first], torch.device("cpu")))[0]

    context = TrackerContext(
        sweep=spec.name,
        paths=paths,
        history=history,
        varying=frozenset(columns_that_vary(spec)),
        values={
            name: [*values, *(params.get(name) for params in known)] for name, values in possible_values(spec).items()
        },
        is_edited=has_other_spec(history, facts),
        make_model=make_model,
        image_shape=shape,
        sample_images=sample_images,
    )
    return [_make(choice, spec) for choice in spec.trackers], context


def _make(choice: Choice, spec: SweepSpec) -> Tracker:
    own_key = spec.tensorboard.model_dump() if choice.name == "tensorboard" else {}
    return TRACKERS.get(choice.name)(**{**own_key, **choice.arguments})
