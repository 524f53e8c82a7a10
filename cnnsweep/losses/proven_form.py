"""Ways to call a user's own loss, each proven on random values: for all runs at once, run by run, or image by image.

A function of (N, classes) logits of one run is called once with all runs as one batch, (K·N, classes), if that
gives for each run what it gives alone, in values and gradients. One that returns the mean or the sum over the images
of a batch is called for each image, as a batch of one, by `torch.vmap`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING

from cnnsweep.seeding import kept_generators

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    LossFunction = Callable[[Tensor, Tensor], Tensor]

_IMAGES = (4, 7)  # one of them differs from the number of classes
_RUNS = 3
_TOLERANCE = 1e-9  # in float64 the two differ by rounding alone
_TOLERANCE_FP32 = 1e-4  # for devices and functions without float64


class Form(Enum):
    """A way to call a function for K runs.

    Attributes:
        RUNS: once, with the images of all runs as one batch.
        ALONE: for each run.
        IMAGES: for each image, since it returns one number for a batch, the mean or sum of those of its images.
    """

    RUNS = auto()
    ALONE = auto()
    IMAGES = auto()


def form_of(call: LossFunction, like: Tensor, *, several: bool) -> Form:
    """Return the way to call a function.

    Args:
        like: logits, for the device and the number of classes.
        several: with several labels an image.
    """
    import torch

    exact = torch.float32 if like.device.type == "mps" else torch.float64
    with ExitStack() as stack:
        as_in_training = (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(like.device.type, enabled=False),
        )
        for context in (*as_in_training, kept_generators(like.device)):
            stack.enter_context(context)
        if _holds(_for_runs, call, like, exact, several=several):
            return Form.RUNS
        if any(_holds(_for_images, call, like, dtype, several=several) for dtype in (exact, torch.float32)):
            return Form.IMAGES
    return Form.ALONE


def of_all_runs(call: LossFunction, logits: Tensor, targets: Tensor) -> Tensor:
    """Return what a function gives for the images of all runs (K, N) as one batch."""
    images = logits.shape[:-1]
    return call(logits.flatten(0, -2), targets.reshape(images.numel(), *targets.shape[len(images) :])).view(images)


def by_image(call: LossFunction, logits: Tensor, targets: Tensor) -> Tensor:
    """Return what a function gives for each image (..., N) as a batch of one."""
    import torch

    images = logits.shape[:-1]
    flat = logits.flatten(0, -2), targets.reshape(images.numel(), *targets.shape[len(images) :])
    each = torch.vmap(lambda one, label: call(one[None], label[None]), randomness="different")
    return each(*flat).view(images)


Proof = Callable[["LossFunction", "Tensor", "Tensor", "Tensor"], bool]


def _holds(proof: Proof, call: LossFunction, like: Tensor, dtype: torch.dtype, *, several: bool) -> bool:
    import torch

    random = torch.Generator().manual_seed(0)
    classes = like.shape[-1]
    for images in _IMAGES:
        shape = (_RUNS, images, classes)
        logits = torch.randn(shape, generator=random, dtype=torch.float64).to(like.device, dtype)
        labels = torch.randint(0, 2 if several else classes, shape if several else shape[:2], generator=random)
        factors = torch.rand(shape[:2], generator=random, dtype=torch.float64).to(like.device, dtype)
        targets = labels.to(like.device, dtype if several else torch.int64)
        try:
            if not proof(call, logits, targets, factors):
                return False
        except Exception:  # the function decides what it raises; alone it has been tried before
            return False
    return True


def _for_runs(call: LossFunction, logits: Tensor, targets: Tensor, factors: Tensor) -> bool:
    import torch

    together = _value_and_gradient(partial(of_all_runs, call), logits, targets, factors)
    alone = [_value_and_gradient(call, *one) for one in zip(logits, targets, factors, strict=True)]
    return all(map(_are_alike, together, map(torch.stack, zip(*alone, strict=True))))


def _for_images(call: LossFunction, logits: Tensor, targets: Tensor, _factors: Tensor) -> bool:
    batch = logits[0], targets[0]
    one = batch[0].new_ones(())
    expected = _value_and_gradient(call, *batch, one)

    def means(scores: Tensor, labels: Tensor) -> Tensor:
        return by_image(call, scores, labels).mean()

    def sums(scores: Tensor, labels: Tensor) -> Tensor:
        return by_image(call, scores, labels).sum()

    return any(all(map(_are_alike, _value_and_gradient(whole, *batch, one), expected)) for whole in (means, sums))


def _value_and_gradient(function: LossFunction, logits: Tensor, targets: Tensor, factors: Tensor) -> Sequence[Tensor]:
    import torch

    leaf = logits.clone().requires_grad_()
    value = function(leaf * 1, targets.clone())  # not a leaf, as in training
    if value.shape != factors.shape:
        raise ValueError(f"{tuple(value.shape)}")
    return value.detach(), *torch.autograd.grad((value * factors).sum(), leaf)


def _are_alike(found: Tensor, expected: Tensor) -> bool:
    import torch

    tolerance = _TOLERANCE_FP32 if found.dtype is torch.float32 else _TOLERANCE
    return torch.allclose(found, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()))
