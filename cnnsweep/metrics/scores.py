"""Base of metrics that need the probabilities of all images at once, such as AUROC or a user's own function."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cnnsweep.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor


class ScoreMetric(Metric):
    """Base of metrics of all images' probabilities.

    They are measured on held-out images; on training images only in a sweep that holds none out. Their sums are the
    logits of all images, in float32 or float64.
    """

    shared: ClassVar[str] = "scores"

    def update(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the logits, to be kept; `MetricSums` puts those of all batches behind each other."""
        del targets
        return logits if logits.element_size() >= 4 else logits.float()

    def of_scores(self, likely: Tensor, targets: Tensor) -> Tensor:
        """Return the metric of each run (K,); NaN where it has no value, as for a run whose scores are NaN.

        Args:
            likely: probabilities (K, N, classes) float64; of one label an image they sum to 1.
            targets: (K, N) int64; with several labels an image (K, N, classes) of 0 and 1.
        """
        raise NotImplementedError


def widest(logits: Tensor) -> Tensor:
    """Return logits in float64, where the device has it."""
    return logits.float() if logits.device.type == "mps" else logits.double()


def probabilities(logits: Tensor, *, is_multi_label: bool) -> Tensor:
    """Return the probabilities of logits (..., classes), in float64 where the device has it."""
    wide = widest(logits)
    return wide.sigmoid() if is_multi_label else wide.softmax(-1)
