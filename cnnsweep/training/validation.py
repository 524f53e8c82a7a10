"""Measurement of the runs of a learner on the held-out images of their fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cnnsweep.metrics.names import on_validation
from cnnsweep.training.data_module import DataModule, validation_batches
from cnnsweep.training.learner import Learner
from cnnsweep.training.metric_sums import Values
from cnnsweep.types import Run


def validate_averages(
    program: Learner, runs: Sequence[Run], task: DataModule
) -> Sequence[Mapping[str, float | None] | None]:
    """Return the metrics on the held-out images with the averages of the weights; None for a run without one."""
    assert program.averages is not None
    with program.averages.applied():
        values = validate(program, runs, task)
    have_one = [run.hyperparameters.ema is not None for run in runs]
    return [held_out_metrics(values, position, task) if has else None for position, has in enumerate(have_one)]


def held_out_metrics(values: Values | None, position: int, task: DataModule) -> Mapping[str, float | None]:
    """Return one run's metrics on held-out images by their columns; empty without such images."""
    if values is None:
        return {}
    columns = {on_validation(name): value for name, value in values[position].items()}
    return {name: columns[name] for name in task.columns if name in columns}


def validate(program: Learner, runs: Sequence[Run], task: DataModule) -> Values | None:
    """Return the metrics of each run on the held-out images; None without such images."""
    held_out = len(task.part(runs[0]).validation)
    if not held_out:
        return None
    losses: list[Tensor] = []
    sums = task.metric_sums(runs[0], is_training=False)
    for batch in validation_batches(task, runs):
        loss, predictions = program.measure(*batch)
        losses.append(loss)
        sums.add(predictions)
    loss_sums = torch.stack(losses).sum(0).cpu().double()
    return sums.values((loss_sums / held_out).tolist(), held_out)
