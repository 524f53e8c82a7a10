"""Top-k accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cnnsweep.field_types import Whole
from cnnsweep.metrics.metric import ONE_LABEL_ONLY, Metric
from cnnsweep.metrics.names import top
from cnnsweep.types import LabelCounts

if TYPE_CHECKING:
    from torch import Tensor


class TopK(Metric, name="top_k"):
    """Share of images whose class is among the k most likely, as scikit-learn's `top_k_accuracy_score`.

    Of classes with equal scores the first counts as more likely, as for accuracy: top_1 is the accuracy.
    """

    k: Annotated[int, Whole(1, 1_000_000)] = Field(default=5, description="how many of the most likely classes count")

    @property
    def column(self) -> str:
        """The name with the number: `top_5`."""
        return top(self.k)

    def update(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the number of images whose class is found (K,)."""
        import torch

        own = logits.gather(-1, targets[..., None])
        before = torch.arange(logits.shape[-1], device=logits.device) < targets[..., None]
        more_likely = (logits > own) | ((logits == own) & before) | logits.isnan()  # (K, N, classes)
        return (more_likely.sum(-1) < self.k).sum(-1)

    def compute(self, sums: Tensor, images: int) -> Tensor:
        """Return the share (K,)."""
        return sums.double() / images

    def problem(self, measured: LabelCounts) -> str | None:
        """Return the reason if k leaves no class out."""
        if measured.is_multi_label:
            return ONE_LABEL_ONLY
        classes = len(measured.classes)
        return None if self.k < classes else f"there are only {classes} classes, of which the top {self.k} are all"

    def baseline(self, measured: LabelCounts) -> float | None:
        """Return the share of the k largest classes."""
        return sum(sorted(measured.counts)[-self.k :]) / measured.images if measured.images else None
