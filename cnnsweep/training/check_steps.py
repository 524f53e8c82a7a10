"""Check of `drop_last` and `freeze_bn` before training: an epoch has a batch, and the model a layer to freeze."""

from __future__ import annotations

from collections.abc import Sequence

from cnnsweep.config.dump import without_folder
from cnnsweep.config.error_messages import spec_error
from cnnsweep.config.schema import SweepSpec
from cnnsweep.errors import Problem
from cnnsweep.models.batch_norm import batch_norms
from cnnsweep.models.build import build_model
from cnnsweep.training.data_module import NO_BATCH, DataModule
from cnnsweep.types import ModelChoice, Run


def check_steps(spec: SweepSpec, runs: Sequence[Run], task: DataModule) -> None:
    """Raise if `drop_last` leaves a run no batch, or `freeze_bn` finds nothing to freeze.

    Raises:
        SpecError: with the place of the key in the sweep file.
    """
    problems = [_problem(spec, "drop_last", text) for text in _without_batches(runs, task)]
    problems += [_problem(spec, "freeze_bn", text) for text in _without_batch_norm(runs, task)]
    if problems:
        raise spec_error(problems)


def _without_batches(runs: Sequence[Run], task: DataModule) -> list[str]:
    texts = [
        NO_BATCH.format(len(task.part(run).training), run.hyperparameters.batch_size)
        for run in runs
        if run.hyperparameters.drop_last and len(task.part(run).training) < run.hyperparameters.batch_size
    ]
    return list(dict.fromkeys(texts))


def _without_batch_norm(runs: Sequence[Run], task: DataModule) -> list[str]:
    models = {repr(run.model): run.model for run in runs if run.hyperparameters.freeze_bn}
    return [
        f"model {without_folder(model.name, model.code)} has no batch-norm layer to freeze; allowed is false"
        for model in models.values()
        if not _has_batch_norm(model, task)
    ]


def _has_batch_norm(model: ModelChoice, task: DataModule) -> bool:
    return bool(batch_norms(build_model(model, task.images.image_shape, task.num_classes, seed=0)))


def _problem(spec: SweepSpec, key: str, text: str) -> Problem:
    place = spec.key_places.get(key)
    text = f"params.{key}: {text}"
    return Problem("sweep", 0, 0, text) if place is None else Problem(place.file, place.line, place.column, text)
