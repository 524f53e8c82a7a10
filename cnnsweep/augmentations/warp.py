"""Affine maps of images, each by a matrix of its own.

Pixels and arithmetic are those of `torchvision.transforms.v2.functional.affine`. Every step is one operation on each
element, with one rounding, so that an image's pixels do not depend on its batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

NEAREST, BILINEAR = "nearest", "bilinear"
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def rotation(degrees: float) -> tuple[float, ...]:
    """Return the matrix that rotates counter-clockwise about the middle."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return cos, -sin, 0.0, sin, cos, 0.0


def shear_x(slope: float, height: int) -> tuple[float, ...]:
    """Return the matrix that moves rows to the left, by `slope` for each row below the upper edge."""
    return 1.0, slope, slope * height / 2, 0.0, 1.0, 0.0


def shear_y(slope: float, width: int) -> tuple[float, ...]:
    """Return the matrix that moves columns up, by `slope` for each column right of the left edge."""
    return 1.0, 0.0, 0.0, slope, 1.0, slope * width / 2


def translation(right: float, down: float) -> tuple[float, ...]:
    """Return the matrix that moves an image by whole pixels; fractions are dropped."""
    return 1.0, 0.0, float(-int(right)), 0.0, 1.0, float(-int(down))


def warped(images: Tensor, matrices: Tensor, interpolation: str = NEAREST) -> Tensor:
    """Return images (n, C, H, W) uint8 after affine maps; pixels from outside are 0.

    Args:
        matrices: (n, 6) float32, from a pixel's place in the result, counted from the middle, to its place before.
    """
    height, width = images.shape[2:]
    x = torch.arange(width, device=images.device) - (width - 1) / 2  # (W,)
    y = torch.arange(height, device=images.device)[:, None] - (height - 1) / 2  # (H, 1)
    of_x, of_y, right, down_of_x, down_of_y, down = matrices[:, :, None, None].unbind(1)  # (n, 1, 1) each
    columns = of_x * x + of_y * y + right + (width - 1) / 2  # (n, H, W)
    rows = down_of_x * x + down_of_y * y + down + (height - 1) / 2
    return _nearest(images, rows, columns) if interpolation == NEAREST else bilinear(images, rows, columns)


def _nearest(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    count, channels, height, width = images.shape
    rows, columns = rows.round(), columns.round()
    is_inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    # One more pixel, of 0, stands for all pixels outside.
    places = torch.where(is_inside, rows * width + columns, height * width).long()
    pixels = functional.pad(images.flatten(2), (0, 1))
    return pixels.gather(2, places.view(count, 1, -1).expand(-1, channels, -1)).view(images.shape)


def bilinear(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the levels of images (n, C, H, W) uint8 at places between pixels (n, H, W); 0 outside."""
    height, width = images.shape[2:]
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], -1)  # (n, H, W, 2), in -1..1
    found = functional.grid_sample(images.float(), grid, mode=BILINEAR, padding_mode="zeros", align_corners=False)
    return found.round_().to(torch.uint8)
