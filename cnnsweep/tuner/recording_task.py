"""The writer's content beside the events: the model card of best weights, and the first records of TensorBoard."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch

from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import columns_that_vary, possible_values
from cnnsweep.datasets.load import Dataset
from cnnsweep.evaluation.model_card import make_model_card
from cnnsweep.models.logits import giving_logits
from cnnsweep.models.registry import build_model
from cnnsweep.seeding import kept_generators
from cnnsweep.storage.writer import RecordingTask
from cnnsweep.trackers.tensorboard_hparams import kind_of
from cnnsweep.trackers.tensorboard_writer import BoardContent, make_graph, make_image_grid
from cnnsweep.training.data_module import TrainingTask
from cnnsweep.types import Run

_SAMPLE_IMAGES = 32


def make_recording_task(
    spec: SweepSpec, dataset: Dataset, task: TrainingTask, known: Sequence[Mapping[str, Any]] = ()
) -> RecordingTask:
    """Return the content that the writer adds to the reports of training.

    Args:
        known: parameters of runs in the folder, some maybe of an earlier sweep file.
    """
    shape, classes = dataset.train.image_shape, len(dataset.classes)
    graphs: dict[str, Any] = {}

    def graph(run: Run) -> Any:
        if not spec.tensorboard.graph:
            return None
        key = repr(run.model)
        if key not in graphs:  # traced once, written for every run that has this model
            graphs[key] = None
            # A suggested model may not fit: training reports it.
            with kept_generators(), contextlib.suppress(Exception):
                model = build_model(run.model, shape, classes, seed=0)
                graphs[key] = make_graph(giving_logits(model, torch.zeros(1, *shape), classes), shape)
        return graphs[key]

    board = spec.tensorboard
    images = None
    if board.images:
        first = task.parts[0].training[:_SAMPLE_IMAGES]
        images = make_image_grid(next(dataset.train.batches([first], torch.device("cpu")))[0])
    varying = frozenset(columns_that_vary(spec))
    kinds = {
        name: kind_of([*values, *(settings.get(name) for settings in known)])
        for name, values in possible_values(spec).items()
    }
    content = BoardContent(board.batch_loss, board.histograms, board.hparams, varying, kinds)
    return RecordingTask(content, partial(make_model_card, spec, dataset, task), graph, images)
