"""Metrics of probabilities that are sums over images: negative log-likelihood, Brier score, calibration error.

They are computed in float64, from logits, so that probabilities near 0 and 1 are not rounded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnsweep.metrics.metric import ONE_LABEL_ONLY, Metric
from cnnsweep.metrics.scores import probabilities, widest
from cnnsweep.types import LabelCounts

if TYPE_CHECKING:
    from torch import Tensor

BINS = 15


class NegativeLogLikelihood(Metric, name="nll"):
    """Mean negative log-likelihood, in nats, as scikit-learn's `log_loss`; there probabilities of 0 are cut, here not.

    With several labels an image it is the binary cross-entropy, averaged over the classes.
    """

    greater_is_better = False

    def update(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the sum over the images (K,)."""
        from torch.nn.functional import softplus

        wide = widest(logits)
        if targets.ndim == logits.ndim:
            return (softplus(wide) - wide * targets).mean(-1).sum(-1)
        return -wide.log_softmax(-1).gather(-1, targets[..., None]).squeeze(-1).sum(-1)

    def compute(self, sums: Tensor, images: int) -> Tensor:
        """Return the mean (K,)."""
        return sums.double() / images

    def baseline(self, measured: LabelCounts) -> float | None:
        """Return the entropy of the classes: of always giving their shares as probabilities."""
        if measured.is_multi_label:
            return _over_labels(measured, [_entropy(share) + _entropy(1 - share) for share in _shares(measured)])
        return _over_labels(measured, list(map(_entropy, _shares(measured))))


class Brier(Metric, name="brier"):
    """Brier score (Brier, 1950), from 0 to 2: the squared error of the probabilities, summed over the classes.

    That is scikit-learn's `brier_score_loss` with `scale_by_half=False`, for two classes too. With several labels an
    image it is the mean over the classes, from 0 to 1.
    """

    greater_is_better = False

    def update(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the sum over the images (K,)."""
        from torch.nn.functional import one_hot

        is_multi_label = targets.ndim == logits.ndim
        truth = targets if is_multi_label else one_hot(targets, logits.shape[-1])
        errors = (probabilities(logits, is_multi_label=is_multi_label) - truth).square()
        return (errors.mean(-1) if is_multi_label else errors.sum(-1)).sum(-1)

    def compute(self, sums: Tensor, images: int) -> Tensor:
        """Return the mean (K,)."""
        return sums.double() / images

    def baseline(self, measured: LabelCounts) -> float | None:
        """Return the score of always giving the shares of the classes as probabilities."""
        return _over_labels(measured, [share * (1 - share) for share in _shares(measured)])


class CalibrationError(Metric, name="ece"):
    """Expected calibration error (Naeini et al., 2015), as torchmetrics' with 15 equal bins and norm `l1`.

    The mean over the images of the distance between confidence, the largest probability, and accuracy, in bins of
    confidence.
    """

    greater_is_better = False

    def update(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the images, their confidence and the right ones of each bin (K, 3, bins)."""
        import torch

        likely = probabilities(logits, is_multi_label=False)
        confidence, found = likely.max(-1)  # (K, N)
        edges = torch.linspace(0, 1, BINS + 1, dtype=likely.dtype, device=logits.device)
        position = (torch.bucketize(confidence, edges, right=True) - 1).clamp(0, BINS - 1)
        is_in = (position[..., None] == torch.arange(BINS, device=logits.device)).to(likely.dtype)  # (K, N, bins)
        values = torch.stack([torch.ones_like(confidence), confidence, (found == targets).to(likely.dtype)], 1)
        return values @ is_in

    def compute(self, sums: Tensor, images: int) -> Tensor:
        """Return the error (K,)."""
        _, confidence, right = sums.double().unbind(1)  # (K, bins)
        return (right - confidence).abs().sum(-1) / images

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
