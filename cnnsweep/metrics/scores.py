"""Base of metrics that need the probabilities of all images at once, such as AUROC or a user's own function."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cnnsweep.metrics.base import Metric

if TYPE_CHECKING:
    from torch import Tensor


class ScoreMetric(Metric):
    """Base of metrics of all images' probabilities.

    They are measured on held-out images; on training images only in a sweep that holds none out.
    """

    shared: ClassVar[str] = "scores"

    def of_scores(self, probabilities: Tensor, targets: Tensor) -> Tensor:
        """Return the metric of each run (K,).

        Args:
            probabilities: (K, N, classes); of one label an image they sum to 1.
            targets: (K, N) int64; with several labels an image (K, N, classes) of 0 and 1.
        """
        raise NotImplementedError
