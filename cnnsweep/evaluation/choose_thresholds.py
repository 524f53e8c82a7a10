"""Choice of the thresholds above which an image has a label, by the F1 of each label on validation images."""

from __future__ import annotations

import torch
from torch import Tensor

from cnnsweep.evaluation.thresholds import DEFAULT_THRESHOLD


def choose_thresholds(probabilities: Tensor, labels: Tensor) -> tuple[float, ...]:
    """Return the threshold of each label with the highest F1.

    All thresholds between two neighbouring probabilities give the same predictions. 0.5 is kept if no other is better;
    else it is the middle between two probabilities, of equally good ones the nearest to 0.5. A label that no image has,
    or that has no F1 above 0, keeps 0.5.

    Args:
        probabilities: (N, classes), on the CPU.
        labels: (N, classes) of 0 and 1.
    """
    return tuple(
        _threshold(probabilities[:, label].double(), labels[:, label]) for label in range(probabilities.shape[1])
    )


def _threshold(probabilities: Tensor, has_label: Tensor) -> float:
    sorted_, order = probabilities.nan_to_num(0.0).sort(descending=True)
    hits = has_label[order].cumsum(0, dtype=torch.int64)
    predicted = torch.arange(1, len(sorted_) + 1)
    f1 = 2 * hits.double() / (predicted + hits[-1])  # of all images down to each
    following = torch.cat([sorted_[1:], torch.zeros(1, dtype=torch.float64)])
    f1[sorted_ == following] = -1  # equal probabilities cannot be parted
    usual = int((sorted_ > DEFAULT_THRESHOLD).sum())
    best = float(f1.max())
    if best <= 0 or (usual and float(f1[usual - 1]) == best):
        return DEFAULT_THRESHOLD
    middles = ((sorted_ + following) / 2)[f1 == best]
    return float(middles[(middles - DEFAULT_THRESHOLD).abs().argmin()])
