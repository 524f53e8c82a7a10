"""Base of metrics that need the probabilities of all images at once, such as AUROC or a user's own function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cnnsweep.metrics.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor, dtype


class ScoreMetric(Metric):
    """Base of metrics of all images' probabilities.

    They are measured on held-out images; on training images only in a sweep that holds none out. Their sums are the
    logits of all images, in float32 or float64.
    """

    shared: ClassVar[str] = "scores"

    def update(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the logits, to be kept; `MetricSums` puts those of all batches behind each other."""
        del targets
        return wide_enough(logits)

    def of_shared(self, scores: Scores) -> Tensor:
        """Return the metric of each run (K,), from what it shares with other metrics."""
        return self.of_scores(scores.likely, scores.targets)

    def of_scores(self, likely: Tensor, targets: Tensor) -> Tensor:
        """Return the metric of each run (K,); NaN where it has no value, as for a run whose scores are NaN.

        Args:
            likely: probabilities (K, N, classes) float64; of one label an image they sum to 1.
            targets: (K, N) int64; with several labels an image (K, N, classes) of 0 and 1.
        """
        raise NotImplementedError


class Scores:
    """The probabilities of all images, and what several metrics derive from them, made once.

    Attributes:
        likely, targets: see `ScoreMetric.of_scores`.
        derived: by name; a metric puts it there.
    """

    def __init__(self, likely: Tensor, targets: Tensor) -> None:
        self.likely, self.targets = likely, targets
        self.derived: dict[str, Any] = {}


def wide_enough(logits: Tensor) -> Tensor:
    """Return logits in float32, or float64 if they are."""
    return logits if logits.element_size() >= 4 else logits.float()


def sum_dtype_of(logits: Tensor) -> dtype:
    """Return the type of sums over images: float64, where the device has it."""
    import torch

    return torch.float32 if logits.device.type == "mps" else torch.float64


def probabilities(logits: Tensor, *, is_multi_label: bool) -> Tensor:
    """Return the probabilities of logits (..., classes), in float64 where the device has it."""
    wide = logits.to(sum_dtype_of(logits))
    return wide.sigmoid() if is_multi_label else wide.softmax(-1)
