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
    if chosen is not None and can_count(images.device):
        for rows in torch.split(chosen.nonzero().squeeze(1), count):
            if len(rows):
                images[rows] = change(images[rows], rows)
        return images
    positions = torch.arange(len(images), device=images.device)
    for first in range(0, len(images), count):
        place = slice(first, first + count)
        part = images[place]
        changed = change(part, positions[place])
        if chosen is not None:
            changed = torch.where(chosen[place].view(-1, *[1] * (images.ndim - 1)), changed, part)
        part.copy_(changed)
    return images


def can_count(device: torch.device) -> bool:
    """True if the number of chosen images is known without waiting for queued work."""
    return device.type == "cpu"
