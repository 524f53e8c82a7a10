"""Changes of some images of a batch, without waiting for a device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_MOST_PIXELS = 1 << 24  # changed at once: bounds the memory for indices and floats
Change = Callable[
    [Tensor, Tensor], Tensor
]  # some images (n, ...) and their positions in the batch (n,) to changed ones


def changed_where(chosen: Tensor | None, images: Tensor, change: Change) -> Tensor:
    """Return images of which the chosen ones are changed, each independently of the others.

    On a CPU only those are computed; elsewhere all of them are, because their number is not known there.

    Args:
        chosen: (N,) bool; None for all.
        images: (N, ...), changed in place.
    """
    count = max(1, _MOST_PIXELS // max(1, images[:1].numel()))
    positions = torch.arange(len(images), device=images.device)
    if chosen is not None and can_count(images.device):
        positions, chosen = positions[chosen], None
    for rows in torch.split(positions, count) if len(positions) else ():
        changed = change(images[rows], rows)
        if chosen is not None:
            changed = torch.where(chosen[rows].view(-1, *[1] * (images.ndim - 1)), changed, images[rows])
        images[rows] = changed
    return images


def can_count(device: torch.device) -> bool:
    """True if the number of chosen images is known without waiting for queued work."""
    return device.type == "cpu"
