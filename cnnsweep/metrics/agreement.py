"""Metrics of the whole confusion matrix: balanced accuracy, Cohen's kappa, Matthews' correlation coefficient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnsweep.metrics.confusion import ConfusionMetric, hits_and_totals, ratio
from cnnsweep.metrics.metric import ONE_LABEL_ONLY
from cnnsweep.types import LabelCounts

if TYPE_CHECKING:
    from torch import Tensor


class OneLabelMetric(ConfusionMetric):
    """Base of those that have no meaning where an image may have several labels."""

    def problem(self, measured: LabelCounts) -> str | None:
        """Return the reason if images have several labels."""
        return ONE_LABEL_ONLY if measured.is_multi_label else None


class BalancedAccuracy(OneLabelMetric, name="balanced_accuracy"):
    """Mean recall of the classes that occur, as scikit-learn's `balanced_accuracy_score`.

    torchmetrics also counts a class without images that is predicted, as recall 0.
    """

    def of_confusion(self, confusion: Tensor) -> Tensor:
        """Return the mean recall of each run (K,)."""
        hits, _, actual = hits_and_totals(confusion)
        return ratio(ratio(hits, actual).sum(-1), (actual > 0).sum(-1))


class Kappa(OneLabelMetric, name="kappa"):
    """Cohen's kappa: accuracy beyond that of independent guesses (Cohen, 1960); both libraries agree.

    Not measured where labels and predictions are all of one class: agreement by chance is certain then.
    """

    def of_confusion(self, confusion: Tensor) -> Tensor:
        """Return the kappa of each run (K,)."""
        hits, predicted, actual = hits_and_totals(confusion)
        images, by_chance = actual.sum(-1), (predicted * actual).sum(-1)
        return (images * hits.sum(-1) - by_chance) / (images.square() - by_chance)

    def problem(self, measured: LabelCounts) -> str | None:
        """Return the reason if all images have one class."""
        return super().problem(measured) or only_one_class(measured)


class Mcc(OneLabelMetric, name="mcc"):
    """Matthews' correlation coefficient of labels and predictions (Gorodkin, 2004), as scikit-learn's.

    0 where the predictions are all of one class; torchmetrics has 1 or -1 in some of these cases.
    """

    def of_confusion(self, confusion: Tensor) -> Tensor:
        """Return the coefficient of each run (K,)."""
        hits, predicted, actual = hits_and_totals(confusion)
        images = actual.sum(-1)
        together = images * hits.sum(-1) - (predicted * actual).sum(-1)
        spread_predicted = images.square() - predicted.square().sum(-1)
        spread_actual = images.square() - actual.square().sum(-1)
        product = spread_predicted * spread_actual
        return (together / spread_predicted.sqrt() / spread_actual.sqrt()).where(product > 0, 0.0)

    def problem(self, measured: LabelCounts) -> str | None:
        """Return the reason if all images have one class."""
        return super().problem(measured) or only_one_class(measured)


def only_one_class(measured: LabelCounts) -> str | None:
    """Return the reason if all images have the same class."""
    present = [name for name in measured.classes if name not in measured.missing]
    return None if len(present) != 1 else f"all images are of class {present[0]!r}"
