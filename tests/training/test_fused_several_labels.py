"""Runs on several labels an image: fused as alone, resumed as at once, and as plain torch trains them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from test_fused_equals_alone import (
    ADAM,
    PLAIN_CNN,
    SGD,
    Collector,
    assert_same_training,
    make_runs,
    train_alone,
    train_together,
)
from test_fused_equals_alone import different_rates as rates
from torch.nn.functional import binary_cross_entropy_with_logits

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.models.build import build_model
from cnnsweep.training.data_module import DataModule, FoldData, training_batches
from cnnsweep.training.learner import SingleLearner
from cnnsweep.training.memory_estimate import run_bytes
from cnnsweep.training.trainer import train_group
from cnnsweep.training.verify_fused import check_fused
from cnnsweep.types import Choice, RunGroup, RunStatus


@pytest.fixture(scope="module")
def task() -> DataModule:
    """28 training images with up to three labels, so that batches of 9 leave a last one of 1, and 8 held out."""
    random = torch.Generator().manual_seed(0)
    labels = (torch.rand(36, 3, generator=random) < torch.tensor([0.5, 0.3, 0.2])).to(torch.uint8)
    images = torch.randint(0, 200, (36, 3, 12, 12), generator=random, dtype=torch.uint8)
    images[:, 0, :3] = torch.where(labels[:, :, None] > 0, 255, images[:, 0, :3])
    part = FoldData(torch.arange(28), torch.arange(28, 36), PixelNormalize((0.5,) * 3, (0.25,) * 3))
    return DataModule(MemoryImages(images, labels), (part,), 3, torch.device("cpu"), "fp64")


NINE = dataclasses.replace(ADAM, batch_size=9)


@pytest.mark.parametrize(
    "changed", [{}, {"label_smoothing": 0.1}, {"augment": (Choice("flip"),)}], ids=["plain", "smoothing", "flip"]
)
def test_a_group_trains_as_each_run_alone(task, changed):
    runs = make_runs(*rates(dataclasses.replace(NINE, **changed), 3), dataclasses.replace(SGD, batch_size=9))
    together = train_together(task, runs)
    assert_same_training(together, train_alone(task, runs))
    assert {outcome.status for outcome in together.outcomes.values()} == {RunStatus.FINISHED}
    check_fused(runs, task)
    assert run_bytes(runs[0], task) > 0


def test_runs_of_a_group_may_differ_in_label_smoothing(task):
    runs = make_runs(NINE, dataclasses.replace(NINE, label_smoothing=0.2), dataclasses.replace(NINE, seed=4))
    assert_same_training(train_together(task, runs), train_alone(task, runs))


def test_a_resumed_run_equals_an_uninterrupted_one(task):
    runs = make_runs(*rates(dataclasses.replace(NINE, epochs=3), 2))
    collector = Collector(interrupt_after=1)
    train_group(RunGroup.of(tuple((run,) for run in runs)), task, collector, {})
    last = {run_id: kept[-1] for run_id, kept in collector.checkpoints.items()}
    collector.outcomes.clear()
    collector._interrupt_after = None
    for run in runs:
        train_group(RunGroup.of(((run,),)), task, collector, last)
    assert_same_training(collector, train_alone(task, runs))


def test_a_step_minimises_the_binary_cross_entropy_of_plain_torch(task):
    (run,) = make_runs(dataclasses.replace(SGD, momentum=0.0, batch_size=9), model=PLAIN_CNN)
    images, labels = next(training_batches(task, [run], [1]))
    learner = SingleLearner(run, (3, 12, 12), 3, task.device, "fp64")
    loss, _ = learner.train_step(images, labels, [0.1], [0])
    model = build_model(run.model, (3, 12, 12), 3, seed=run.hyperparameters.seed).double()
    expected = binary_cross_entropy_with_logits(model(images.double()), labels[0].double())
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    for name, parameter in model.named_parameters():
        stepped = parameter.detach() - 0.1 * parameter.grad
        torch.testing.assert_close(learner.weights(0)[name], stepped, rtol=1e-9, atol=1e-12)


def test_accuracy_is_the_share_of_images_with_all_labels_right(task):
    (run,) = make_runs(NINE)
    report = train_alone(task, [run]).reports[run.id][-1]
    model = build_model(run.model, (3, 12, 12), 3, seed=0).double()
    model.load_state_dict(dict(report.weights))
    part = task.parts[0]
    pixels, labels = next(task.images.batches([part.validation], task.device))
    with torch.no_grad():
        logits = model.eval()(part.pixels.to_model_input(pixels).double())
    right = ((logits.sigmoid() > 0.5) == labels.bool()).all(1).double().mean()
    assert report.record.metrics["val_accuracy"] == pytest.approx(right.item())
    expected = binary_cross_entropy_with_logits(logits, labels.double())
    assert report.record.metrics["val_loss"] == pytest.approx(expected.item(), rel=1e-9)
