"""Metrics of the order of scores: AUROC and average precision, one class against the others.

Both follow from the order of the scores of each class, with equal scores as one step, so they agree with scikit-learn
to rounding. A class that no image has, or all images, has no order, and the mean leaves it out: it says nothing about
the model. scikit-learn refuses such classes or counts them as 0, torchmetrics counts most of them as 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cnnsweep.metrics.agreement import only_one_class
from cnnsweep.metrics.scores import ScoreMetric, Scores
from cnnsweep.types import LabelCounts

if TYPE_CHECKING:
    from torch import Tensor

_SORTED = "sorted by class"


class RankMetric(ScoreMetric):
    """Base of metrics of sorted scores; the mean of the classes."""

    def of_scores(self, likely: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over the classes of each run (K,)."""
        return self.of_shared(Scores(likely, targets))

    def of_shared(self, scores: Scores) -> Tensor:
        """Return the mean over the classes of each run (K,)."""
        values = self.of_classes(scores)
        return values.nanmean(1).where(scores.likely.isfinite().all(-1).all(-1), float("nan"))

    def of_classes(self, scores: Scores) -> Tensor:
        """Return the value of each class (K, classes); NaN where it has none."""
        import torch

        if _SORTED not in scores.derived:
            scores.derived[_SORTED] = list(_sorted_by_class(scores.likely, scores.targets))
        return torch.stack([self._of_sorted(*part) for part in scores.derived[_SORTED]], 1)

    def _of_sorted(self, is_positive: Tensor, first: Tensor, last: Tensor) -> Tensor:
        """Return the value of a class for each run (K,); NaN where it has none.

        Args:
            is_positive: (K, N), by falling score.
            first, last: (K, N) the first and last position of the equal scores, from 0.
        """
        raise NotImplementedError


class Auroc(RankMetric, name="auroc"):
    """Area under the ROC curve: the share of pairs of images, with and without a class, in the right order; the mean.

    scikit-learn's `roc_auc_score` with `multi_class="ovr"`, or of several labels, with `average="macro"`.
    """

    def _of_sorted(self, is_positive: Tensor, first: Tensor, last: Tensor) -> Tensor:
        images = is_positive.shape[1]
        positive = is_positive.sum(1).double()
        # Twice the rank from the end, so that the mean rank of equal scores is whole (Mann and Whitney, 1947).
        ranks = ((2 * images - first - last) * is_positive).sum(1).double() / 2
        return (ranks - positive * (positive + 1) / 2) / (positive * (images - positive))

    def problem(self, measured: LabelCounts) -> str | None:
        """Return the reason if no class has both images with and without it."""
        if not measured.is_multi_label:
            return only_one_class(measured)
        has_both = any(0 < count < measured.images for count in measured.counts)
        return None if has_both else "of each label, all images have it or none has"

    def baseline(self, measured: LabelCounts) -> float | None:
        """Return the value of equal scores."""
        return None if self.problem(measured) else 0.5


class AveragePrecision(RankMetric, name="average_precision"):
    """Average precision, the sum of precision by steps of recall; the mean over the classes (mAP).

    scikit-learn's `average_precision_score` with `average="macro"`; torchmetrics' without thresholds.
    """

    def _of_sorted(self, is_positive: Tensor, first: Tensor, last: Tensor) -> Tensor:
        del first
        found = is_positive.cumsum(1)
        precision = found.gather(1, last).double() / (last + 1)
        return (precision * is_positive).sum(1) / found[:, -1].double()

    def problem(self, measured: LabelCounts) -> str | None:
        """Return the reason if no image has a label."""
        return None if any(measured.counts) else "no image has any label"

    def baseline(self, measured: LabelCounts) -> float | None:
        """Return the value of equal scores: the mean share of the classes that occur."""
        shares = [count / measured.images for count in measured.counts if count]
        return sum(shares) / len(shares) if shares else None


def _sorted_by_class(likely: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield for each class what `RankMetric._of_sorted` needs."""
    import torch

    is_multi_label = targets.ndim == likely.ndim
    images = likely.shape[1]
    positions = torch.arange(images, device=likely.device)
    for label in range(likely.shape[-1]):
        scores, order = likely[..., label].sort(1, descending=True)
        has_label = targets[..., label] > 0 if is_multi_label else targets == label
        changes = scores.diff(dim=1) != 0  # (K, N - 1)
        edge = torch.ones(len(scores), 1, dtype=torch.bool, device=scores.device)
        begins, ends = torch.cat([edge, changes], 1), torch.cat([changes, edge], 1)
        first = positions.where(begins, 0).cummax(1).values
        last = positions.where(ends, images).flip(1).cummin(1).values.flip(1)
        yield has_label.gather(1, order), first, last
