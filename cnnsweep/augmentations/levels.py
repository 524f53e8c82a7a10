"""Changes of grey levels: each as a table of 256 levels for an image or its channels, applied to all pixels at once.

Formulas and levels are those of the same functions of `torchvision.transforms.v2.functional`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cnnsweep.augmentations.colors import grey_levels

COUNT = 256


def all_levels(device: torch.device) -> Tensor:
    """Return the levels 0 to 255 as float32."""
    return torch.arange(COUNT, dtype=torch.float32, device=device)


def with_table(images: Tensor, table: Tensor) -> Tensor:
    """Return images (n, C, H, W) uint8 with each level replaced.

    Args:
        table: (n, 1 or C, 256) uint8.
    """
    table = table.expand(-1, images.shape[1], -1)
    return table.gather(2, images.flatten(2).long()).view(images.shape)


def _as_levels(values: Tensor) -> Tensor:
    return values.clamp_(0, COUNT - 1).to(torch.uint8)


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Return tables (n, 1, 256) that multiply by a factor (n,)."""
    return _as_levels(all_levels(images.device) * factors[:, None, None])


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Return tables (n, 1, 256) that multiply the distance to the mean grey level by a factor (n,)."""
    grey = grey_levels(images) if images.shape[1] == 3 else images
    # Whole numbers, whose sum is exact in any order.
    mean = grey.flatten(1).sum(1, dtype=torch.int64).float() / grey[0].numel()
    kept = all_levels(images.device) * factors[:, None, None]
    return _as_levels(kept + (mean * (1 - factors))[:, None, None])


def posterize(images: Tensor, steps: Tensor) -> Tensor:
    """Return tables (n, 1, 256) of multiples of a step (n,), a power of 2."""
    step = steps[:, None, None]
    return _as_levels((all_levels(images.device) / step).floor_() * step)


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """Return tables (n, 1, 256) that invert levels from a threshold (n,) on."""
    levels = all_levels(images.device)
    return _as_levels(torch.where(levels >= thresholds[:, None, None], COUNT - 1 - levels, levels))


def autocontrast(images: Tensor) -> Tensor:
    """Return tables (n, C, 256) that stretch each channel to 0..255; a channel of one level stays."""
    pixels = images.flatten(2)
    low, high = pixels.amin(2, keepdim=True).float(), pixels.amax(2, keepdim=True).float()
    is_flat = low == high
    scale = torch.where(is_flat, 1.0, (high - low) * (1 / (COUNT - 1)))
    return _as_levels((all_levels(images.device) - torch.where(is_flat, 0.0, low)) / scale)


def equalize(images: Tensor) -> Tensor:
    """Return tables (n, C, 256) that spread the levels of each channel evenly, as Pillow does."""
    pixels = images.flatten(2).long()  # (n, C, pixels)
    counts = pixels.new_zeros(*images.shape[:2], COUNT).scatter_add_(2, pixels, torch.ones_like(pixels))
    sums = counts.cumsum(2)
    last = counts.gather(2, sums.argmax(2, keepdim=True))  # the pixels of the highest level
    step = (pixels.shape[2] - last) // (COUNT - 1)
    table = (sums[:, :, :-1] + step // 2) // step.clamp(min=1)
    table = torch.cat([torch.zeros_like(last), table], 2)
    return torch.where(step > 0, table, torch.arange(COUNT, device=images.device)).clamp(0, COUNT - 1).to(torch.uint8)
