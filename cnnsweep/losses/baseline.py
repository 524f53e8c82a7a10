"""The loss of always giving the class frequencies, which a trained model has to beat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from cnnsweep.types import LabelCounts

if TYPE_CHECKING:
    from cnnsweep.losses.base import Loss


def loss_baseline(loss: Loss, training: LabelCounts, measured: LabelCounts) -> float | None:
    """Return the mean loss on some images of the class frequencies in training; None if there is none.

    Args:
        loss: as for held-out images.
        training: the frequencies; a class without images counts as one with a single image, so that the loss is finite.
        measured: the images.
    """
    import torch

    if measured.is_multi_label or not measured.images or not training.images:
        return None
    logits = torch.tensor(training.counts, dtype=torch.float64).clamp(min=1).log()  # (classes,)
    of_classes = loss.per_example(logits.expand(len(logits), -1), torch.arange(len(logits)))  # (classes,)
    weights = torch.tensor(measured.counts, dtype=torch.float64) / measured.images
    value = float(of_classes @ weights)
    return value if math.isfinite(value) else None
