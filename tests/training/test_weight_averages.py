"""Averaged weights: as torch's own in a plain loop, fused as alone, resumed as uninterrupted, and the better told."""

from __future__ import annotations

import dataclasses
import math

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
from torch.optim.swa_utils import AveragedModel, update_bn

from cnnsweep.metrics.objective import Objective
from cnnsweep.models.build import build_model
from cnnsweep.planning.batching import trajectories
from cnnsweep.training.data_module import training_batches, validation_batches
from cnnsweep.training.trainer import train_group
from cnnsweep.training.weight_choice import best_weights
from cnnsweep.types import EMA, PLAIN, SWA, Choice, Decision, ModelChoice, RunGroup

NO_DROPOUT = ModelChoice("cnn", {**CNN.arguments, "dropout": 0.0})


def with_values(h, **values):
    return dataclasses.replace(h, **values)


def averaged_in_a_loop(task, run, averaged: AveragedModel, *, each_step: bool) -> None:  # noqa: F811
    """Train with torch alone, and update an average after each step, or after each of the last epochs."""
    h, model = run.hyperparameters, averaged.trained
    optimizer = torch.optim.SGD(model.parameters(), lr=h.lr, momentum=h.momentum)
    for epoch in range(1, h.epochs + 1):
        for images, labels in training_batches(task, [run], [epoch]):
            optimizer.zero_grad()
            functional.cross_entropy(model(images.double()), labels[0]).backward()
            optimizer.step()
            if each_step:
                averaged.update_parameters(model)
        if not each_step and epoch > h.epochs - h.swa_epochs:
            averaged.update_parameters(model)


def averaged_model(task, run, **how) -> AveragedModel:  # noqa: F811
    model = build_model(run.model, task.images.image_shape, task.num_classes, run.hyperparameters.seed).double()
    averaged = AveragedModel(model, **how)
    averaged.trained = model.train()
    return averaged


def measured_loss(task, run, model: nn.Module) -> float:  # noqa: F811
    model.eval()
    with torch.no_grad():
        batches = [(functional.cross_entropy(model(x.double()), y), len(y)) for x, y in validation_batches(task, [run])]
    return sum(loss.item() * n for loss, n in batches) / sum(n for _, n in batches)


def metrics_with(record, weights: str) -> dict[str, float | None]:
    return record.metrics if record.weights == weights else record.others[weights]


def assert_weights(found, expected: nn.Module) -> None:
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-9, atol=1e-12)


def test_ema_equals_torchs_averaged_model_in_a_plain_loop(task):  # noqa: F811
    (run,) = make_runs(with_values(SGD, ema=0.9, epochs=3), model=NO_DROPOUT)
    report = train_alone(task, [run]).reports[run.id][-1]

    def mean(average, tensor, count):  # what 0.9 means before many steps: a mean of the weights so far
        return average + (tensor - average) * (1 - 0.9) / (1 - 0.9 ** (int(count) + 1))

    averaged = averaged_model(task, run, avg_fn=mean, use_buffers=True)
    averaged_in_a_loop(task, run, averaged, each_step=True)
    found = {**report.weights, **report.optimizer[EMA]["weights"]}
    assert_weights({name: t for name, t in found.items() if "tracked" not in name}, _floats(averaged.module))
    assert metrics_with(report.record, EMA)["val_loss"] == pytest.approx(measured_loss(task, run, averaged.module))
    assert metrics_with(report.record, PLAIN)["val_loss"] == pytest.approx(measured_loss(task, run, averaged.trained))
    assert_weights(report.weights, averaged.trained)


class _floats:  # noqa: N801
    """The state of a model without counters, which an average takes from the plain weights."""

    def __init__(self, model: nn.Module) -> None:
        self.state = {name: t for name, t in model.state_dict().items() if t.is_floating_point()}

    def state_dict(self):
        return self.state


def test_swa_equals_torchs_averaged_model_and_update_bn(task):  # noqa: F811
    (run,) = make_runs(with_values(SGD, swa=3, epochs=4), model=NO_DROPOUT)
    reports = train_alone(task, [run]).reports[run.id]
    averaged = averaged_model(task, run)
    averaged_in_a_loop(task, run, averaged, each_step=False)
    loader = [images.double() for images, _ in training_batches(task, [run], [4])]
    update_bn(loader, averaged)
    found = reports[-1].optimizer[SWA]["weights"]
    assert_weights(found, averaged.module)
    assert metrics_with(reports[-1].record, SWA)["val_loss"] == pytest.approx(measured_loss(task, run, averaged.module))
    assert [SWA in report.record.others or report.record.weights == SWA for report in reports] == [False] * 3 + [True]


def test_runs_with_different_averages_train_fused_as_alone(task):  # noqa: F811
    values = [{"ema": 0.9}, {}, {"ema": 0.5}, {"swa": 2}, {"swa": 0.5, "ema": 0.7}]
    runs = make_runs(*(with_values(ADAM, epochs=3, accumulate=2, **one) for one in values))
    together, alone = train_together(task, runs), train_alone(task, runs)
    assert_same_training(together, alone)
    for run in runs:
        for one, other in zip(together.reports[run.id], alone.reports[run.id], strict=True):
            for kind in {EMA, SWA} & one.optimizer.keys():
                for name, tensor in one.optimizer[kind]["weights"].items():
                    torch.testing.assert_close(tensor, other.optimizer[kind]["weights"][name], rtol=1e-9, atol=1e-9)


def test_averages_leave_the_training_as_it_is(task):  # noqa: F811
    plain, *averaged = make_runs(*(with_values(ADAM, **one) for one in ({}, {"ema": 0.9}, {"swa": 1})))
    collector = train_alone(task, [plain, *averaged])
    for run in averaged:
        for name, weight in collector.reports[plain.id][-1].weights.items():
            assert torch.equal(collector.reports[run.id][-1].weights[name], weight)


@pytest.mark.parametrize("count", [1, 3], ids=["alone", "fused"])
def test_resume_equals_an_uninterrupted_training_to_the_last_bit(task, count):  # noqa: F811
    values = [{"ema": 0.9, "swa": 3}, {"swa": 0.8}, {"ema": 0.5}][:count]
    runs = make_runs(*(with_values(ADAM, epochs=4, **one) for one in values))
    group, interrupted, resumed = RunGroup.of([(run,) for run in runs]), Collector(interrupt_after=2), Collector()
    whole = train_together(task, runs)
    train_group(group, task, interrupted, {})
    last = {run_id: kept[-1] for run_id, kept in interrupted.checkpoints.items()}
    train_group(group, task, resumed, last)
    for run in runs:
        expected, found = whole.reports[run.id][-1], resumed.reports[run.id][-1]
        assert (found.record.metrics, found.record.weights, found.record.others) == (
            expected.record.metrics,
            expected.record.weights,
            expected.record.others,
        )
        for kind in {EMA, SWA} & expected.optimizer.keys():
            for name, tensor in expected.optimizer[kind]["weights"].items():
                assert torch.equal(tensor, found.optimizer[kind]["weights"][name]), name


def test_runs_that_leave_take_their_averages_with_them(task):  # noqa: F811
    runs = make_runs(*(with_values(ADAM, epochs=3, ema=decay) for decay in (0.5, 0.9, None)))
    together = Collector(decisions={1: {runs[0].id: Decision.STOP}, 2: {runs[2].id: Decision.STOP}})
    train_group(RunGroup.of([(run,) for run in runs]), task, together, {})
    alone = train_alone(task, runs[1:2]).reports[runs[1].id][-1]
    for name, tensor in together.reports[runs[1].id][-1].optimizer[EMA]["weights"].items():
        torch.testing.assert_close(tensor, alone.optimizer[EMA]["weights"][name], rtol=1e-9, atol=1e-9)


def test_the_better_weights_are_told_and_reported(task):  # noqa: F811
    runs = make_runs(with_values(SGD, lr=0.1, ema=0.9, epochs=4), with_values(SGD, lr=0.05, ema=0.99, epochs=4))
    told = dataclasses.replace(task, objective=Objective("val_loss", "min"))
    kept = [report for reports in train_together(told, runs).reports.values() for report in reports]
    assert {report.record.weights for report in kept} == {PLAIN, EMA}
    for report in kept:
        ((other, metrics),) = report.record.others.items()
        assert {other, report.record.weights} == {PLAIN, EMA}
        assert report.record["val_loss"] <= metrics["val_loss"]
        assert (report.averaged is None) == (report.record.weights == PLAIN)


def test_without_held_out_images_the_average_counts(task):  # noqa: F811
    part = dataclasses.replace(task.parts[0], validation=torch.arange(0))
    (run,) = make_runs(with_values(SGD, ema=0.9))
    report = train_alone(dataclasses.replace(task, parts=(part,)), [run]).reports[run.id][-1]
    assert (report.record.weights, report.record.others) == (EMA, {})
    assert report.record["val_loss"] is None


def test_choice_follows_the_deciding_metric_and_then_the_loss():
    measured = {
        PLAIN: {"val_accuracy": 0.5, "val_loss": 2.0, "val_f1": 0.1},
        EMA: {"val_accuracy": 0.5, "val_loss": 1.0, "val_f1": 0.2},
        SWA: {"val_accuracy": 0.4, "val_loss": math.nan, "val_f1": None},
    }
    assert best_weights(measured, Objective("val_accuracy", "max")) == EMA
    assert best_weights(measured, Objective("accuracy", "max")) == EMA  # of training images: the held-out ones decide
    assert best_weights(measured, Objective("val_loss", "max")) == PLAIN
    assert best_weights(measured, Objective("val_f1", "min")) == PLAIN
    assert best_weights({PLAIN: {}, EMA: {}, SWA: {}}, Objective("loss", "min")) == SWA
    assert best_weights({PLAIN: {}}, Objective("loss", "min")) == PLAIN


def test_runs_with_swa_share_no_trajectory_with_shorter_ones():
    values = [{"epochs": epochs, **more} for more in ({}, {"ema": 0.9}, {"swa": 2}) for epochs in (2, 4)]
    runs = make_runs(*(with_values(SGD, **one) for one in values))
    assert [len(members) for members in trajectories(runs)] == [2, 2, 1, 1]


def test_swa_counts_last_epochs_or_a_share_of_all():
    def epochs(swa: float | None) -> int:
        return with_values(SGD, epochs=10, swa=swa).swa_epochs

    assert [epochs(swa) for swa in (None, 1, 3, 0.25, 0.01, 20)] == [0, 1, 3, 3, 1, 10]


def test_frozen_batch_norm_keeps_its_statistics_in_the_mean(task):  # noqa: F811
    (run,) = make_runs(with_values(SGD, swa=2, freeze_bn=True, schedule=Choice("cosine")))
    weights = train_alone(task, [run]).reports[run.id][-1].optimizer[SWA]["weights"]
    assert all(weights[name].eq(0).all() for name in weights if name.endswith("running_mean"))
