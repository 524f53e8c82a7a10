"""Losses of K runs that train fused, each by its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cnnsweep.losses.base import Loss

OfRuns = Callable[[Tensor, Tensor], Tensor]  # logits (K, N, classes) and targets to (K,) or (K, N)


def mean_of_runs(losses: Sequence[Loss], weights: Tensor | None = None) -> OfRuns:
    """Return the mean loss (K,) of each of K runs.

    By a single formula if the losses are equal, or differ only in numbers that it takes as tensors.

    Args:
        weights: (K, classes) of the classes, on the device; None without any.
    """
    if weights is None:
        return _by_one_formula(losses, lambda loss: loss.mean) or _one_by_one([loss.mean for loss in losses])
    together = _by_one_formula(losses, lambda loss: _weighted(loss, weights))
    return together or _one_by_one([_weighted(loss, own) for loss, own in zip(losses, weights, strict=True)])


def per_image_of_runs(losses: Sequence[Loss]) -> OfRuns:
    """Return the loss (K, N) of each of K runs' examples."""
    return _by_one_formula(losses, lambda loss: loss.per_image) or _one_by_one([loss.per_image for loss in losses])


def _weighted(loss: Loss, weights: Tensor) -> OfRuns:
    return lambda logits, targets: loss.weighted_mean(logits, targets, weights)


def _by_one_formula(losses: Sequence[Loss], formula: Callable[[Loss], OfRuns]) -> OfRuns | None:
    first = losses[0]
    if all(loss == first for loss in losses):
        return formula(first)
    if not first.takes_tensors or any(type(loss) is not type(first) for loss in losses):
        return None
    on_device: dict[int, OfRuns] = {}

    def together(logits: Tensor, targets: Tensor) -> Tensor:
        if targets.ndim not in on_device:  # once: a copy in each step would wait for the device
            on_device[targets.ndim] = formula(_as_one(losses, logits, targets.ndim))
        return on_device[targets.ndim](logits, targets)

    return together


def _as_one(losses: Sequence[Loss], logits: Tensor, dimensions: int) -> Loss:
    """Return a loss whose numbers are tensors (K, 1) or (K, 1, 1), one number a run."""
    precision = torch.float64 if logits.dtype is torch.float64 else torch.float32
    kind = type(losses[0])
    numbers: dict[str, Any] = {
        name: torch.tensor([getattr(loss, name) for loss in losses], device=logits.device, dtype=precision)
        for name in kind.model_fields
    }
    each = (len(losses), *[1] * (dimensions - 1))
    return kind.model_construct(**{name: column.view(each) for name, column in numbers.items()})


def _one_by_one(formulas: Sequence[OfRuns]) -> OfRuns:
    def stacked(logits: Tensor, targets: Tensor) -> Tensor:
        return torch.stack([formula(*one) for formula, *one in zip(formulas, logits, targets, strict=True)])

    return stacked
