"""The loss of always giving the class frequencies, which a trained model has to beat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnnsweep.types import LabelCounts

if TYPE_CHECKING:
    from cnnsweep.losses.base import Loss

_LEAST = 1e-12  # so that a class without images, which does not count, has a finite loss


def loss_baseline(loss: Loss, measured: LabelCounts) -> float | None:
    """Return the mean loss on some images of always giving the frequencies of their classes; None if there is none.

    Args:
        loss: as for held-out images.
    """
    import torch

    if measured.is_multi_label or not measured.images:
        return None
    shares = torch.tensor(measured.counts, dtype=torch.float64) / measured.images  # (classes,)
    logits = shares.clamp(min=_LEAST).log()
    of_classes = loss.per_example(logits.expand(len(logits), -1), torch.arange(len(logits)))  # (classes,)
    value = float(of_classes @ shares)
    return value if math.isfinite(value) else None
