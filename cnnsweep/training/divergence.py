"""Values that became infinite or NaN in an epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def divergence_of(batch_losses: Tensor, val_loss: float | None, weights: Mapping[str, Tensor]) -> str | None:
    """Return the value that became infinite or NaN in an epoch, as a message; None if all are finite."""
    finite = torch.isfinite(batch_losses)
    if not finite.all():
        batch = int((~finite).nonzero()[0, 0])
        return f"the loss became {batch_losses[batch].item()} in batch {batch + 1}"
    if val_loss is not None and not math.isfinite(val_loss):
        return f"the validation loss became {val_loss}"
    return None if _all_finite(weights) else "a weight became infinite or NaN in the last batch"


def _all_finite(weights: Mapping[str, Tensor]) -> bool:
    # A sum is NaN or infinite if any element is, in one pass and without a mask of the tensor's size. A finite sum of
    # float64 cannot overflow from float32 elements.
    sums = [
        w.sum(dtype=torch.float64 if w.device.type != "mps" else None)
        for w in weights.values()
        if w.is_floating_point()
    ]
    return not sums or bool(torch.isfinite(torch.stack(sums)).all())
