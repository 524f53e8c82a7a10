"""Metrics of probabilities that are sums over images: negative log-likelihood, Brier score, calibration error.

All three share one update, because most of its time is that of the softmax. The sums are in float64, and the logarithm
is that of the logits, so that a probability near 0 is not cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from cnnsweep.metrics.metric import ONE_LABEL_ONLY, Metric
from cnnsweep.metrics.scores import sum_dtype_of, wide_enough
from cnnsweep.types import LabelCounts

if TYPE_CHECKING:
    from torch import Tensor

BINS = 15
_NLL, _BRIER, _CONFIDENCE, _RIGHT = slice(0, 1), slice(1, 2), slice(2, 2 + BINS), slice(2 + BINS, 2 + 2 * BINS)


class LikelihoodMetric(Metric):
    """Base of the three; smaller is better."""

    shared: ClassVar[str] = "likelihood"
    greater_is_better: ClassVar[bool] = False
    part: ClassVar[slice]

    def update(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the sums (K, 32) over the images: of all three metrics, and with several labels of the first two."""
        wide = wide_enough(logits)
        return _of_labels(wide, targets) if targets.ndim == logits.ndim else _of_classes(wide, targets)

    def compute(self, sums: Tensor, images: int) -> Tensor:
        """Return the mean over the images (K,)."""
        return sums[:, self.part].double().squeeze(-1) / images


def _of_classes(logits: Tensor, targets: Tensor) -> Tensor:
    import torch

    precision = sum_dtype_of(logits)
    logarithms = logits.log_softmax(-1)
    likely = logarithms.exp()
    confidence, found = likely.max(-1)  # (K, N)
    bins = torch.zeros(len(logits), 2, BINS, dtype=precision, device=logits.device)
    values = torch.stack([confidence, (found == targets).to(confidence.dtype)], 1).to(precision)
    bins.scatter_add_(2, _bin_of(confidence)[:, None].expand(-1, 2, -1), values)
    right = targets[..., None]
    errors = likely.scatter_add_(-1, right, torch.full_like(right, -1, dtype=likely.dtype))
    nll = -logarithms.gather(-1, right).sum((1, 2), dtype=precision)
    brier = errors.square_().sum((1, 2), dtype=precision)
    return torch.cat([torch.stack([nll, brier], 1), bins.flatten(1)], 1)


def _bin_of(confidence: Tensor) -> Tensor:
    import torch

    edges = torch.linspace(0, 1, BINS + 1, dtype=confidence.dtype, device=confidence.device)
    return (torch.bucketize(confidence, edges, right=True) - 1).clamp_(0, BINS - 1)


def _of_labels(logits: Tensor, targets: Tensor) -> Tensor:
    import torch
    from torch.nn.functional import softplus

    precision = sum_dtype_of(logits)
    logits = logits.to(precision)  # in float32 the last bits depend on the number of runs
    nll = (softplus(logits) - logits * targets).sum((1, 2), dtype=precision)
    brier = (logits.sigmoid() - targets).square().sum((1, 2), dtype=precision)
    return torch.stack([nll, brier], 1) / logits.shape[-1]


class NegativeLogLikelihood(LikelihoodMetric, name="nll"):
    """Mean negative log-likelihood, in nats, as scikit-learn's `log_loss`; there probabilities of 0 are cut, here not.

    With several labels an image it is the binary cross-entropy, averaged over the classes.
    """

    part: ClassVar[slice] = _NLL

    def baseline(self, measured: LabelCounts) -> float | None:
        """Return the entropy of the classes: of always giving their shares as probabilities."""
        if measured.is_multi_label:
            return _over_labels(measured, [_entropy(share) + _entropy(1 - share) for share in _shares(measured)])
        return _over_labels(measured, list(map(_entropy, _shares(measured))))


class Brier(LikelihoodMetric, name="brier"):
    """Brier score (Brier, 1950), from 0 to 2: the squared error of the probabilities, summed over the classes.

    That is scikit-learn's `brier_score_loss` with `scale_by_half=False`, for two classes too. With several labels an
    image it is the mean over the classes, from 0 to 1.
    """

    part: ClassVar[slice] = _BRIER

    def baseline(self, measured: LabelCounts) -> float | None:
        """Return the score of always giving the shares of the classes as probabilities."""
        return _over_labels(measured, [share * (1 - share) for share in _shares(measured)])


class CalibrationError(LikelihoodMetric, name="ece"):
    """Expected calibration error (Naeini et al., 2015), as torchmetrics' with 15 equal bins and norm `l1`.

    The mean over the images of the distance between confidence, the largest probability, and accuracy, in bins of
    confidence.
    """

    def compute(self, sums: Tensor, images: int) -> Tensor:
        """Return the error (K,)."""
        confidence, right = self.bins_of(sums.double())
        return (right - confidence).abs().sum(-1) / images

    @staticmethod
    def bins_of(sums: Tensor) -> tuple[Tensor, Tensor]:
        """Return of the images in each bin (K, bins) the sum of their confidence, and the number of right ones."""
        return sums[:, _CONFIDENCE], sums[:, _RIGHT]

    def problem(self, measured: LabelCounts) -> str | None:
        """Return the reason if images have several labels."""
        return ONE_LABEL_ONLY if measured.is_multi_label else None


def _shares(measured: LabelCounts) -> list[float]:
    return [count / max(measured.images, 1) for count in measured.counts]


def _over_labels(measured: LabelCounts, values: Sequence[float]) -> float | None:
    """Return the sum over the classes, or their mean with several labels an image; None without images."""
    if not measured.images:
        return None
    return sum(values) / len(values) if measured.is_multi_label else sum(values)


def _entropy(share: float) -> float:
    return -share * math.log(share) if share else 0.0
