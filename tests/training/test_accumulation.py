"""Accumulated gradients, dropped batches and frozen batch norm: as a plain loop of torch, fused as alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from test_fused_equals_alone import (
    ADAM,
    CNN,
    SGD,
    Collector,
    assert_same_training,
    make_runs,
    task,  # noqa: F401  a fixture
    train_alone,
    train_together,
)
from torch import nn
from torch.nn import functional

from cnnsweep.errors import ModelError
from cnnsweep.models.build import build_model
from cnnsweep.planning.batching import runs_of_a_kind
from cnnsweep.training.accumulation import StepPart, optimizer_steps, step_parts
from cnnsweep.training.data_module import training_batches
from cnnsweep.training.learner import forward_seed
from cnnsweep.training.trainer import train_group
from cnnsweep.training.verify_fused import check_fused
from cnnsweep.types import Choice, ModelChoice, RunGroup

NO_DROPOUT = ModelChoice("cnn", {**CNN.arguments, "dropout": 0.0})


def with_values(h, **values):
    return dataclasses.replace(h, **values)


def plain_loop(task, run) -> tuple[nn.Module, list[float]]:  # noqa: F811
    """Train as one would without cnnsweep: one backward pass over all images of a step."""
    h = run.hyperparameters
    model = build_model(run.model, task.images.image_shape, task.num_classes, h.seed).double().train()
    if h.freeze_bn:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=h.lr, momentum=h.momentum)
    losses = []
    for epoch in range(1, h.epochs + 1):
        batches = [(images.double(), labels[0]) for images, labels in training_batches(task, [run], [epoch])]
        for start in range(0, len(batches), h.accumulate):
            group = batches[start : start + h.accumulate]
            outputs = [model(images) for images, _ in group]
            own = [functional.cross_entropy(o, y, reduction="none") for o, (_, y) in zip(outputs, group, strict=True)]
            optimizer.zero_grad()
            torch.cat(own).mean().backward()
            optimizer.step()
            losses += [loss.mean().item() for loss in own]
    return model, losses


@pytest.mark.parametrize(
    "values",
    [{"accumulate": 2}, {"accumulate": 3, "drop_last": True}, {"drop_last": True}, {"freeze_bn": True}],
    ids=["accumulate", "accumulate of full batches", "drop_last", "freeze_bn"],
)
def test_training_equals_a_plain_loop(task, values):  # noqa: F811
    (run,) = make_runs(with_values(SGD, **values), model=NO_DROPOUT)
    report = train_alone(task, [run]).reports[run.id][-1]
    model, losses = plain_loop(task, run)
    for name, expected in model.state_dict().items():
        torch.testing.assert_close(report.weights[name], expected, rtol=1e-9, atol=1e-12)
    assert report.record.steps == len(losses) / run.epochs
    assert report.record["loss"] == pytest.approx(
        sum(a * b for a, b in zip(losses[-report.record.steps :], task.batch_lengths(run), strict=True))
        / sum(task.batch_lengths(run))
    )


@pytest.mark.parametrize(
    "values",
    [
        {"accumulate": 2, "grad_clip": 0.5, "schedule": Choice("one_cycle")},
        {"accumulate": 3, "drop_last": True},
        {"freeze_bn": True, "accumulate": 2},
    ],
    ids=["accumulate", "drop_last", "freeze_bn"],
)
def test_runs_train_fused_as_alone(task, values):  # noqa: F811
    runs = make_runs(*(with_values(h, seed=seed, **values) for h in (ADAM, SGD) for seed in (1, 2)))
    check_fused(runs, task)
    assert_same_training(train_together(task, runs), train_alone(task, runs))


def test_resume_equals_an_uninterrupted_training_to_the_last_bit(task):  # noqa: F811
    runs = make_runs(*(with_values(ADAM, seed=seed, epochs=4, accumulate=3) for seed in (1, 2)))
    whole, collector = train_together(task, runs), Collector(interrupt_after=2)
    group = RunGroup.of([(run,) for run in runs])
    train_group(group, task, collector, {})
    last = {run_id: kept[-1] for run_id, kept in collector.checkpoints.items()}
    resumed = Collector()
    train_group(group, task, resumed, last)
    for run in runs:
        for name, weight in whole.reports[run.id][-1].weights.items():
            assert torch.equal(weight, resumed.reports[run.id][-1].weights[name]), name


def test_parts_of_steps_weigh_batches_by_their_images():
    parts = step_parts([4, 4, 2], 2)
    assert parts == [StepPart(0.5, 0, True, False), StepPart(0.5, 0, False, True), StepPart(1.0, 1, True, True)]
    assert optimizer_steps(parts) == 2
    assert [part.share for part in step_parts([4, 4, 2], 9)] == [0.4, 0.4, 0.2]
    assert step_parts([4, 4, 2], 1) == [StepPart(step=step) for step in range(3)]


def test_schedule_counts_optimizer_steps(task):  # noqa: F811
    """Four batches an epoch are two steps: the last one of one cycle comes to its end."""
    (run,) = make_runs(with_values(SGD, accumulate=2, schedule=Choice("cosine")))
    record = train_alone(task, [run]).reports[run.id][-1].record
    assert record.lr == pytest.approx(SGD.lr * (1 + torch.cos(torch.tensor(torch.pi * 3 / 4)).item()) / 2, rel=1e-6)


def test_frozen_statistics_stay_and_their_scale_is_trained(task):  # noqa: F811
    (run,) = make_runs(with_values(SGD, freeze_bn=True))
    weights = train_alone(task, [run]).reports[run.id][-1].weights
    fresh = build_model(run.model, task.images.image_shape, 3, run.hyperparameters.seed).double().state_dict()
    moved = {name for name in fresh if not torch.equal(weights[name], fresh[name])}
    statistics = {name for name in fresh if name.endswith(("running_mean", "running_var", "num_batches_tracked"))}
    assert statistics
    assert moved == fresh.keys() - statistics


def test_a_single_image_is_dropped(task):  # noqa: F811
    (run,) = make_runs(with_values(SGD, drop_last=True, batch_size=13))
    assert task.batch_lengths(run) == [13, 13]
    assert task.why_last_image_joins(run) is None


def test_no_batch_is_an_error(task):  # noqa: F811
    (run,) = make_runs(with_values(SGD, drop_last=True, batch_size=28))
    with pytest.raises(ModelError, match="drop_last leaves no batch of 27 training images, since batch_size is 28"):
        next(training_batches(task, [run], [1]))


def test_runs_of_other_steps_train_in_other_groups():
    values = [{}, {"accumulate": 2}, {"drop_last": True}, {"freeze_bn": True}, {"lr": 0.5}]
    runs = make_runs(*(with_values(SGD, **one) for one in values))
    assert [len(kind) for kind in runs_of_a_kind(runs, {})] == [2, 1, 1, 1]


def test_forward_seeds_differ_between_the_batches_of_a_step(task):  # noqa: F811
    (run,) = make_runs(with_values(SGD, accumulate=4))
    assert len({forward_seed(run, 1, batch) for batch in range(4)}) == 4
