"""Accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnsweep.metrics.base import Metric
from cnnsweep.types import LabelCounts

if TYPE_CHECKING:
    from torch import Tensor


class Accuracy(Metric, name="accuracy"):
    """Share of images that are classified correctly."""

    def update(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the number of correct predictions (K,)."""
        return (logits.argmax(-1) == targets).sum(-1)

    def compute(self, sums: Tensor, images: int) -> Tensor:
        """Return the share (K,)."""
        return sums.double() / images

    def baseline(self, measured: LabelCounts) -> float | None:
        """Return the share of the largest class; None with several labels an image, whose combinations matter."""
        if measured.is_multi_label or not measured.images:
            return None
        return max(measured.counts) / measured.images
