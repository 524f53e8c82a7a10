"""Class weights, balanced sampling and losses: fused as alone, resumed as uninterrupted, unweighted in evaluation.

The tolerance is that of `test_fused_equals_alone.py`, 1e-9 in float64.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from test_fused_equals_alone import (
    ADAM,
    CNN,
    PLAIN_CNN,
    Collector,
    assert_same_training,
    make_runs,
    train_alone,
    train_together,
)

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.planning.batching import runs_of_a_kind
from cnnsweep.training.class_weights import class_weights, weights_of
from cnnsweep.training.data_module import DataModule, FoldData, training_batches
from cnnsweep.training.fused_learner import FusedLearner
from cnnsweep.training.learner import SingleLearner
from cnnsweep.training.trainer import train_group
from cnnsweep.training.verify_fused import check_fused
from cnnsweep.types import BALANCED, Choice, ClassWeights, Decision, LabelCounts, RunGroup

COUNTS = [20, 5, 2]  # of the training images
NAMES = ("cat", "dog", "truck")
WEIGHTED = [
    ClassWeights(),
    ClassWeights("balanced"),
    ClassWeights("sqrt"),
    ClassWeights("given", (("truck", 7.0),)),
]
LOSSES = [
    Choice("cross_entropy"),
    Choice("focal"),
    Choice("focal", {"gamma": 0.5}),
    Choice("binary_cross_entropy"),
    Choice("poly"),
]
FUNCTIONS = """
import torch
from torch.nn import functional

def along_the_last(logits, targets, power=1.0):
    return -logits.log_softmax(-1).gather(-1, targets[..., None]).squeeze(-1) * power

def one_run_only(logits, targets):
    return functional.cross_entropy(logits, targets, reduction="none") ** 1.5

def over_the_batch(logits, targets):  # with stacked runs, the first dimension would be another one
    return functional.cross_entropy(logits - logits.mean(0), targets, reduction="none")
"""


@pytest.fixture(scope="module")
def task() -> DataModule:
    random = torch.Generator().manual_seed(0)
    of_classes = [torch.full((count,), label) for label, count in enumerate(COUNTS)]
    labels = torch.cat([*of_classes, torch.arange(9) % 3])
    images = torch.randint(0, 256, (36, 3, 12, 12), generator=random, dtype=torch.uint8)
    images[torch.arange(36), 0, labels * 2] = 255
    part = FoldData(torch.arange(27), torch.arange(27, 36), PixelNormalize((0.5,) * 3, (0.25,) * 3))
    return DataModule(MemoryImages(images, labels), (part,), 3, torch.device("cpu"), "fp64", classes=NAMES)


def with_every(**values: list[object]) -> list[object]:
    return [
        dataclasses.replace(ADAM, **dict(zip(values, one, strict=True))) for one in itertools.product(*values.values())
    ]


@pytest.mark.parametrize("model", [CNN, PLAIN_CNN], ids=["batch-norm-dropout", "plain"])
def test_runs_of_every_loss_and_weighting_train_fused_as_alone(task, model):
    runs = make_runs(*with_every(loss_function=LOSSES, class_weight=WEIGHTED), model=model)
    assert_same_training(train_together(task, runs), train_alone(task, runs))


def test_runs_of_every_sampling_and_weighting_train_fused_as_alone(task):
    augments = [(), (Choice("flip"), Choice("crop", {"padding": 2}))]
    options = with_every(sampling=["natural", BALANCED], class_weight=WEIGHTED[:2], augment=augments, seed=[1, 2])
    runs = make_runs(*options)
    assert_same_training(train_together(task, runs), train_alone(task, runs))


@pytest.mark.parametrize("weights", [WEIGHTED[0], WEIGHTED[1]], ids=["none", "balanced"])
def test_weights_and_different_numbers_of_one_loss_have_one_formula(task, weights):
    losses = [Choice("focal", {"gamma": gamma}) for gamma in (0.5, 1.0, 3.0)]
    runs = make_runs(*with_every(loss_function=losses, class_weight=[weights], epochs=[1]))
    assert_same_training(train_together(task, runs), train_alone(task, runs))


def test_a_resume_equals_an_uninterrupted_training(task):
    hyperparameters = with_every(class_weight=WEIGHTED[1:3], sampling=["natural", BALANCED], epochs=[4])
    runs = make_runs(*(dataclasses.replace(h, augment=(Choice("crop", {"padding": 1}),)) for h in hyperparameters))
    collector = Collector(interrupt_after=2)
    train_group(RunGroup.of([(run,) for run in runs]), task, collector, {})
    last = {run_id: kept[-1] for run_id, kept in collector.checkpoints.items()}
    collector.outcomes.clear()
    collector._interrupt_after = None
    train_group(RunGroup.of([(run,) for run in reversed(runs)]), task, collector, last)
    assert_same_training(collector, train_alone(task, runs))


def test_runs_that_leave_take_their_weights_with_them(task):
    runs = make_runs(*with_every(class_weight=[*WEIGHTED, WEIGHTED[0]], epochs=[3]))
    leaving = {runs[1].id: Decision.STOP, runs[3].id: Decision.STOP}
    together, alone = Collector(decisions={1: leaving, 2: {runs[2].id: Decision.STOP}}), Collector()
    train_group(RunGroup.of([(run,) for run in runs]), task, together, {})
    for run in runs:
        train_group(RunGroup.of(((run,),)), task, alone, {})
    for run, epochs in zip(runs, (3, 1, 2, 1, 3), strict=True):
        assert len(together.reports[run.id]) == epochs
        for mine, theirs in zip(together.reports[run.id], alone.reports[run.id], strict=False):
            assert mine.record.metrics == pytest.approx(theirs.record.metrics, rel=1e-9)


@pytest.fixture(params=["along_the_last", "one_run_only", "over_the_batch"])
def function(request, tmp_path_factory) -> Choice:
    file = tmp_path_factory.mktemp("own") / "losses.py"
    file.write_text(FUNCTIONS)
    return Choice(f"{file}:{request.param}", {}, "hash")


def test_own_functions_train_fused_as_alone(task, function):
    losses = [function, function, Choice("cross_entropy")]
    runs = make_runs(*with_every(loss_function=losses, class_weight=WEIGHTED[:2], sampling=["natural", BALANCED]))
    check_fused(runs, task)
    assert_same_training(train_together(task, runs), train_alone(task, runs))


@pytest.mark.parametrize("weights", WEIGHTED, ids=lambda weights: weights.kind)
def test_held_out_images_are_measured_without_weights(task, weights):
    """After no step, so that the weights of the network are equal: the learning rate is 0 but for rounding."""
    plain, weighted = make_runs(
        *with_every(class_weight=[WEIGHTED[0], weights], lr=[1e-300], epochs=[1]), model=PLAIN_CNN
    )
    found = train_together(task, [plain, weighted]).reports
    first, second = (found[run.id][0].record.metrics for run in (plain, weighted))
    assert second["val_loss"] == pytest.approx(first["val_loss"], rel=1e-12)
    assert (second["loss"] == pytest.approx(first["loss"], rel=1e-6)) == (weights.kind == "none")


def test_weights_are_those_of_scikit_learn():
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 2]), y=np.repeat([0, 1, 2], COUNTS))
    counts = LabelCounts(NAMES, tuple(COUNTS), 27)
    assert weights_of(ClassWeights("balanced"), counts) == pytest.approx(list(expected))
    assert weights_of(ClassWeights("sqrt"), counts) == pytest.approx(list(expected**0.5))
    assert weights_of(WEIGHTED[3], counts) == [1, 1, 7]


def test_weights_of_several_labels_are_images_without_over_images_with():
    counts = LabelCounts(("a", "b", "none", "all"), (20, 5, 0, 25), 25, is_multi_label=True)
    assert weights_of(ClassWeights("balanced"), counts) == [0.25, 4, 1, 1]
    assert weights_of(ClassWeights("sqrt"), counts) == [0.5, 2, 1, 1]


def test_weights_follow_the_run_s_own_training_images(task):
    fold = FoldData(torch.arange(15, 27), torch.arange(15), task.parts[0].pixels)
    folded = dataclasses.replace(task, parts=(task.parts[0], fold))
    (run,) = make_runs(dataclasses.replace(ADAM, class_weight=ClassWeights("balanced")))
    found = [class_weights([dataclasses.replace(run, fold=number)], folded) for number in (0, 1)]
    assert found[0][0].tolist() == pytest.approx([27 / (3 * count) for count in COUNTS])
    assert found[1][0].tolist() == pytest.approx([12 / (3 * count) for count in (5, 5, 2)])
    assert class_weights(make_runs(ADAM), task) is None


def test_epochs_have_each_class_equally_often_and_runs_share_what_they_may(task):
    runs = make_runs(
        *with_every(sampling=[BALANCED], lr=[0.1, 0.2]),
        *with_every(sampling=["natural"], lr=[0.1, 0.2]),
    )
    labels = torch.cat([labels for _, labels in training_batches(task, runs, [1] * 4)], 1)
    assert [torch.bincount(of_one).tolist() for of_one in labels] == [[9, 9, 9], COUNTS]  # G = 2
    (kind,) = runs_of_a_kind([runs[0], runs[2], runs[1], runs[3]], {})
    assert [trajectory[0].id for trajectory in kind] == ["run0", "run1", "run2", "run3"]


def test_an_image_that_comes_twice_is_augmented_differently(task):
    """Of 2 trucks each comes four or five times; with so large a crop, hardly two are alike."""
    (run,) = make_runs(dataclasses.replace(ADAM, sampling=BALANCED, augment=(Choice("crop", {"padding": 6}),)))
    batches = list(training_batches(task, [run], [1]))
    trucks = torch.cat([images[labels[0] == 2] for images, labels in batches])
    assert len(trucks) == 9
    assert len({tuple(image.flatten().tolist()) for image in trucks}) >= 8


@pytest.mark.parametrize("weights", [None, torch.tensor([[1.0, 2, 3], [1, 1, 1], [5, 0.5, 1]], dtype=torch.float64)])
@pytest.mark.parametrize("loss", [*LOSSES, None], ids=lambda loss: "all" if loss is None else loss.name)
def test_several_labels_an_image_train_fused_as_alone(loss, weights):
    losses = LOSSES[:3] if loss is None else [loss] * 3
    runs = make_runs(*(dataclasses.replace(ADAM, loss_function=one) for one in losses), model=PLAIN_CNN)
    random = torch.Generator().manual_seed(1)
    images = torch.rand(8, 3, 12, 12, generator=random).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 2, (1, 8, 3), generator=random, dtype=torch.uint8)
    about = ((3, 12, 12), 3, torch.device("cpu"), "fp64")
    fused = FusedLearner(runs, *about, weights)
    together, _ = fused.train_step(images, labels, [0.01] * 3, [0] * 3)
    measured, _ = fused.measure(images, labels[0])
    for position, run in enumerate(runs):
        plain = SingleLearner(run, *about, None if weights is None else weights[position : position + 1])
        (alone,), _ = plain.train_step(images, labels, [0.01], [0])
        assert float(together[position]) == pytest.approx(float(alone), rel=1e-9)
        assert float(measured[position]) == pytest.approx(float(plain.measure(images, labels[0])[0]), rel=1e-9)
