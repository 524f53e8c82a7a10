"""Accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnsweep.metrics.metric import Metric
from cnnsweep.types import LabelCounts

if TYPE_CHECKING:
    from torch import Tensor


class Accuracy(Metric, name="accuracy"):
    """Share of images that are classified correctly; with several labels an image, with all labels right."""

    def update(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the number of correct predictions (K,)."""
        if targets.ndim == logits.ndim:
            return ((logits > 0) == (targets > 0)).all(-1).sum(-1)
        return (logits.argmax(-1) == targets).sum(-1)

    def compute(self, sums: Tensor, images: int) -> Tensor:
        """Return the share (K,)."""
        return sums.double() / images

    def baseline(self, measured: LabelCounts) -> float | None:
        """Return the share of the largest class; with several labels an image of the most frequent set of labels."""
        most = measured.frequent_images if measured.is_multi_label else max(measured.counts, default=0)
        return None if most is None or not measured.images else most / measured.images
