"""Accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnsweep.metrics.base import Metric

if TYPE_CHECKING:
    from torch import Tensor


class Accuracy(Metric, name="accuracy"):
    """Share of images that are classified correctly."""

    def update(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the number of correct predictions (K,)."""
        if targets.ndim == logits.ndim:
            return ((logits > 0) == targets).all(-1).sum(-1)
        return (logits.argmax(-1) == targets).sum(-1)

    def compute(self, sums: Tensor, images: int) -> Tensor:
        """Return the share (K,)."""
        return sums.double() / images
