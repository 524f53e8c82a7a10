"""Every loss equals torch's or torchvision's formula, for one run and for K at once, weighted or not, in float64.

1e-12 leaves room for another order of operations. Where there is no such function, the formula of the paper is written
out here by probabilities, not by logarithms.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss

from cnnsweep.losses.base import LOSSES, Loss
from cnnsweep.losses.of_runs import mean_of_runs, per_image_of_runs
from cnnsweep.types import Choice

RUNS, IMAGES, CLASSES = 3, 11, 5
RANDOM = torch.Generator().manual_seed(0)
LOGITS = 3 * torch.randn(RUNS, IMAGES, CLASSES, generator=RANDOM, dtype=torch.float64)
TARGETS = torch.randint(0, CLASSES, (RUNS, IMAGES), generator=RANDOM)
LABELS = (torch.rand(RUNS, IMAGES, CLASSES, generator=RANDOM) < 0.3).to(torch.uint8)
WEIGHTS = 0.1 + 5 * torch.rand(RUNS, CLASSES, generator=RANDOM, dtype=torch.float64)


def make(name: str, **arguments: float) -> Loss:
    return LOSSES.make(Choice(name, arguments))


def one_hot(targets: Tensor) -> Tensor:
    return functional.one_hot(targets, CLASSES).double()


def focal_by_probabilities(gamma: float) -> Callable[[Tensor, Tensor], Tensor]:
    def focal(logits: Tensor, targets: Tensor) -> Tensor:
        right = logits.softmax(-1)[torch.arange(len(targets)), targets]
        return -((1 - right) ** gamma) * right.log()

    return focal


def poly_by_probabilities(logits: Tensor, targets: Tensor) -> Tensor:
    right = logits.softmax(-1)[torch.arange(len(targets)), targets]
    return -right.log() + 2.5 * (1 - right)


def poly_of_labels(logits: Tensor, labels: Tensor) -> Tensor:
    right = torch.where(labels > 0, logits.sigmoid(), 1 - logits.sigmoid())
    return -right.log() + 2.5 * (1 - right)


def asymmetric(gamma_neg: float, gamma_pos: float, clip: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Return equations 4 to 7 of the paper, by probabilities."""

    def each(logits: Tensor, labels: Tensor) -> Tensor:
        likely = logits.sigmoid()
        shifted = (likely - clip).clamp_min(0)
        of_ones = (1 - likely) ** gamma_pos * likely.log()
        of_zeros = shifted**gamma_neg * (1 - shifted).log()
        return -(labels * of_ones + (1 - labels) * of_zeros)

    return each


def smoothed(labels: Tensor, share: float, answers: int) -> Tensor:
    return labels * (1 - share) + share / answers


ONE_LABEL = {
    "cross_entropy": (make("cross_entropy"), lambda x, y: functional.cross_entropy(x, y, reduction="none")),
    "smoothed cross_entropy": (
        make("cross_entropy", label_smoothing=0.2),
        lambda x, y: functional.cross_entropy(x, y, reduction="none", label_smoothing=0.2),
    ),
    "focal": (make("focal"), focal_by_probabilities(2)),
    "focal 0.5": (make("focal", gamma=0.5), focal_by_probabilities(0.5)),
    "focal 0": (make("focal", gamma=0), lambda x, y: functional.cross_entropy(x, y, reduction="none")),
    "binary": (
        make("binary_cross_entropy"),
        lambda x, y: nn.BCEWithLogitsLoss(reduction="none")(x, one_hot(y)).mean(1),
    ),
    "smoothed binary": (
        make("binary_cross_entropy", label_smoothing=0.1),
        lambda x, y: nn.BCEWithLogitsLoss(reduction="none")(x, smoothed(one_hot(y), 0.1, CLASSES)).mean(1),
    ),
    "poly": (make("poly", epsilon=2.5), poly_by_probabilities),
    "asymmetric": (make("asymmetric"), lambda x, y: asymmetric(4, 1, 0.05)(x, one_hot(y)).mean(-1)),
}
SEVERAL = {
    "cross_entropy": (make("cross_entropy"), nn.BCEWithLogitsLoss(reduction="none")),
    "smoothed": (
        make("cross_entropy", label_smoothing=0.2),
        lambda x, y: nn.BCEWithLogitsLoss(reduction="none")(x, smoothed(y, 0.2, 2)),
    ),
    "binary": (make("binary_cross_entropy"), nn.BCEWithLogitsLoss(reduction="none")),
    "focal": (make("focal"), lambda x, y: sigmoid_focal_loss(x, y, alpha=-1, gamma=2)),
    "focal 3.5": (make("focal", gamma=3.5), lambda x, y: sigmoid_focal_loss(x, y, alpha=-1, gamma=3.5)),
    "poly": (make("poly", epsilon=2.5), poly_of_labels),
    "asymmetric": (make("asymmetric"), asymmetric(4, 1, 0.05)),
    "asymmetric 2 0": (make("asymmetric", gamma_neg=2, gamma_pos=0, clip=0.2), asymmetric(2, 0, 0.2)),
    "asymmetric without a clip": (make("asymmetric", gamma_neg=3, clip=0), asymmetric(3, 1, 0)),
    "asymmetric as focal": (
        make("asymmetric", gamma_neg=2, gamma_pos=2, clip=0),
        lambda x, y: sigmoid_focal_loss(x, y, alpha=-1, gamma=2),
    ),
    "asymmetric as binary": (
        make("asymmetric", gamma_neg=0, gamma_pos=0, clip=0),
        nn.BCEWithLogitsLoss(reduction="none"),
    ),
}


def with_gradient(formula: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    leaf = LOGITS.clone().requires_grad_()
    value = formula(leaf)
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


def assert_equal(found: Callable[[Tensor], Tensor], expected: Callable[[Tensor], Tensor]) -> None:
    for mine, theirs in zip(with_gradient(found), with_gradient(expected), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-13)


def of_each(formula: Callable[..., Tensor], *targets: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda logits: torch.stack([formula(*one) for one in zip(logits, *targets, strict=True)])


@pytest.mark.parametrize(("loss", "reference"), ONE_LABEL.values(), ids=ONE_LABEL)
def test_loss_of_one_label_is_the_reference(loss, reference):
    expected = of_each(lambda x, y: reference(x, y).mean(), TARGETS)
    assert_equal(of_each(loss.mean, TARGETS), expected)
    assert_equal(lambda x: mean_of_runs([loss] * RUNS)(x, TARGETS), expected)
    assert_equal(lambda x: per_image_of_runs([loss] * RUNS)(x, TARGETS), of_each(reference, TARGETS))


@pytest.mark.parametrize(("loss", "reference"), ONE_LABEL.values(), ids=ONE_LABEL)
def test_weights_of_classes_give_the_weighted_mean(loss, reference):
    def weighted(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        return (reference(logits, targets) * weights[targets]).sum() / weights[targets].sum()

    expected = of_each(weighted, TARGETS, WEIGHTS)
    assert_equal(of_each(loss.weighted_mean, TARGETS, WEIGHTS), expected)
    assert_equal(lambda x: mean_of_runs([loss] * RUNS, WEIGHTS)(x, TARGETS), expected)


def test_weights_of_classes_are_those_of_torch():
    assert_equal(
        lambda x: mean_of_runs([make("cross_entropy")] * RUNS, WEIGHTS)(x, TARGETS),
        of_each(lambda x, y, w: nn.CrossEntropyLoss(weight=w)(x, y), TARGETS, WEIGHTS),
    )


@pytest.mark.parametrize(("loss", "reference"), SEVERAL.values(), ids=SEVERAL)
def test_loss_of_several_labels_is_the_reference(loss, reference):
    expected = of_each(lambda x, y: reference(x, y.double()).mean(), LABELS)
    assert_equal(of_each(loss.mean, LABELS), expected)
    assert_equal(lambda x: mean_of_runs([loss] * RUNS)(x, LABELS), expected)
    each = of_each(lambda x, y: reference(x, y.double()).mean(-1), LABELS)
    assert_equal(lambda x: per_image_of_runs([loss] * RUNS)(x, LABELS), each)


@pytest.mark.parametrize(("loss", "reference"), SEVERAL.values(), ids=SEVERAL)
def test_positive_weights_multiply_the_loss_of_labels_that_are_1(loss, reference):
    def weighted(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        return (reference(logits, labels.double()) * torch.where(labels > 0, weights, 1.0)).mean()

    expected = of_each(weighted, LABELS, WEIGHTS)
    assert_equal(of_each(loss.weighted_mean, LABELS, WEIGHTS), expected)
    assert_equal(lambda x: mean_of_runs([loss] * RUNS, WEIGHTS)(x, LABELS), expected)


def test_positive_weights_are_those_of_torch():
    assert_equal(
        lambda x: mean_of_runs([make("cross_entropy")] * RUNS, WEIGHTS)(x, LABELS),
        of_each(lambda x, y, w: nn.BCEWithLogitsLoss(pos_weight=w)(x, y.double()), LABELS, WEIGHTS),
    )


DIFFERENT = {
    "focal": [make("focal", gamma=gamma) for gamma in (0, 1, 2.5)],
    "poly": [make("poly", epsilon=epsilon) for epsilon in (-1, 0, 3)],
    "cross_entropy": [make("cross_entropy", label_smoothing=share) for share in (0, 0.1, 0.3)],
    "binary": [make("binary_cross_entropy", label_smoothing=share) for share in (0, 0.1, 0.3)],
    "asymmetric": [make("asymmetric"), make("asymmetric", clip=0, gamma_pos=0), make("asymmetric", gamma_neg=1.5)],
    "all": [make("focal"), make("cross_entropy", label_smoothing=0.1), make("binary_cross_entropy")],
}


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("targets", [TARGETS, LABELS], ids=["one label", "several"])
@pytest.mark.parametrize("losses", DIFFERENT.values(), ids=DIFFERENT)
def test_runs_of_different_losses_have_each_their_own(losses, targets, weights):
    def alone(logits: Tensor) -> Tensor:
        if weights is None:
            return torch.stack([loss.mean(*one) for loss, *one in zip(losses, logits, targets, strict=True)])
        each = zip(losses, logits, targets, weights, strict=True)
        return torch.stack([loss.weighted_mean(*one) for loss, *one in each])

    assert_equal(lambda x: mean_of_runs(losses, weights)(x, targets), alone)
    together = per_image_of_runs(losses)(LOGITS, targets)
    expected = [loss.per_image(*one) for loss, *one in zip(losses, LOGITS, targets, strict=True)]
    torch.testing.assert_close(together, torch.stack(expected), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["focal", "poly", "cross_entropy", "binary_cross_entropy", "asymmetric"])
@pytest.mark.parametrize("targets", [TARGETS, LABELS], ids=["one label", "several"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_extreme_logits_give_finite_losses_and_gradients(name, targets, dtype):
    logits = torch.tensor([0.0, 80.0, -80.0, 1e4, -1e4]).to(dtype).expand(RUNS, IMAGES, CLASSES).clone()
    for gamma in (0.0, 0.5, 2.0) if name == "focal" else (None,):
        leaf = logits.clone().requires_grad_()
        loss = make(name) if gamma is None else make(name, gamma=gamma)
        value = mean_of_runs([loss] * RUNS)(leaf, targets)
        (gradient,) = torch.autograd.grad(value.sum(), leaf)
        assert bool(value.isfinite().all())
        assert bool(gradient.isfinite().all())
        assert bool((value >= 0).all())


def test_held_out_images_are_measured_without_smoothing():
    for name in ("cross_entropy", "binary_cross_entropy"):
        assert make(name, label_smoothing=0.2).in_evaluation() == make(name)
    assert make("focal", gamma=3).in_evaluation() == make("focal", gamma=3)
