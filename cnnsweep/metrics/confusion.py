"""Base of metrics that follow from the confusion matrix alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from cnnsweep.metrics.metric import Metric
from cnnsweep.types import LabelCounts

if TYPE_CHECKING:
    from torch import Tensor


class ConfusionMetric(Metric):
    """Base of metrics of a confusion matrix; all of them share one."""

    shared: ClassVar[str] = "confusion"

    def update(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the confusion matrix of each run, see `of_confusion`."""
        import torch

        if targets.ndim == logits.ndim:
            pairs = 2 * targets.long() + (logits > 0)  # (K, N, classes)
            return torch.stack([(pairs == cell).sum(1) for cell in range(4)], -1).view(*logits.shape[::2], 2, 2)
        classes = logits.shape[-1]
        cells = targets * classes + logits.argmax(-1)  # (K, N)
        counts = torch.zeros(len(logits), classes * classes, dtype=torch.int64, device=logits.device)
        return counts.scatter_add_(1, cells, torch.ones_like(cells)).view(-1, classes, classes)

    def compute(self, sums: Tensor, images: int) -> Tensor:
        """Return the metric of each run (K,)."""
        del images
        return self.of_confusion(sums.double())

    def of_confusion(self, confusion: Tensor) -> Tensor:
        """Return the metric of each run (K,).

        Args:
            confusion: (K, classes, classes) float64 counts, one row a true class, one column a predicted class; with
                several labels an image (K, classes, 2, 2), for each class without and with the label.
        """
        raise NotImplementedError

    def baseline(self, measured: LabelCounts) -> float | None:
        """Return the value of the most frequent answer."""
        value = float(self.of_confusion(confusion_of_majority(measured)))
        return value if math.isfinite(value) else None


def confusion_of_majority(measured: LabelCounts) -> Tensor:
    """Return the confusion matrix (1, ...) of a model that always gives the most frequent answer."""
    import torch

    counts = torch.tensor(measured.counts, dtype=torch.float64)
    if measured.is_multi_label:
        without = measured.images - counts
        rows = torch.stack([without, counts], -1)  # (classes, 2)
        confusion = torch.zeros(1, len(counts), 2, 2, dtype=torch.float64)
        confusion[0, torch.arange(len(counts)), :, (counts > without).long()] = rows
    else:
        confusion = torch.zeros(1, len(counts), len(counts), dtype=torch.float64)
        confusion[0, :, int(counts.argmax())] = counts
    return confusion


def confusion_of_all_labels(measured: LabelCounts) -> Tensor:
    """Return the confusion matrix (1, classes, 2, 2) of a model that gives all labels to all images."""
    import torch

    counts = torch.tensor(measured.counts, dtype=torch.float64)
    confusion = torch.zeros(1, len(counts), 2, 2, dtype=torch.float64)
    confusion[0, :, :, 1] = torch.stack([measured.images - counts, counts], -1)
    return confusion


def hits_and_totals(confusion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each class (K, classes): the images found rightly, those predicted, and those that have it."""
    if confusion.ndim == 4:  # several labels an image
        return confusion[..., 1, 1], confusion[..., 1].sum(-1), confusion[..., 1, :].sum(-1)
    return confusion.diagonal(dim1=-2, dim2=-1), confusion.sum(-2), confusion.sum(-1)


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Return the quotient, and 0 for 0 / 0 as scikit-learn and torchmetrics do by default."""
    return part / whole.where(whole > 0, 1.0)
