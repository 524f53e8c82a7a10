"""Random rectangles inside an image: by area and proportions, as torchvision draws them."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from cnnsweep.augmentations.base import whole
from cnnsweep.augmentations.warp import bilinear

_TRIES = 10  # a rectangle that does not fit is drawn again
NUMBERS = 2 * _TRIES + 2  # draws of an image
_PROPORTIONS = 4096  # drawn from a table, since the last digit of a power would depend on the place in the batch


def draw_boxes(
    drawn: Tensor,
    size: tuple[int, int],
    scale: tuple[float, float],
    ratio: tuple[float, float],
    *,
    smaller: bool = False,
) -> Tensor:
    """Return rectangles (N, 4): top, left, height, width, int64.

    Args:
        drawn: (N, 22) in [0, 1).
        size: height and width of the image.
        scale: range of the area, as a share of the image.
        ratio: range of the proportions, uniform in their logarithm: width by height; height by width where `smaller`.
        smaller: the rectangle is smaller than the image in both directions, or empty if none fits. Otherwise, if none
            fits, it is the largest in the middle with the nearest proportions.
    """
    area = (drawn[:, :_TRIES] * (scale[1] - scale[0]) + scale[0]) * (size[0] * size[1])
    proportions = _proportions(ratio, drawn.device)[whole(drawn[:, _TRIES : 2 * _TRIES], _PROPORTIONS)]
    long, short = (area * proportions).sqrt().round().long(), (area / proportions).sqrt().round().long()
    heights, widths = (long, short) if smaller else (short, long)  # (N, 10)
    if smaller:
        fits = (heights < size[0]) & (widths < size[1])
    else:
        fits = (heights > 0) & (heights <= size[0]) & (widths > 0) & (widths <= size[1])
    first = fits.byte().argmax(1, keepdim=True)
    height, width = heights.gather(1, first), widths.gather(1, first)  # (N, 1)
    top, left = whole(drawn[:, -2:-1], size[0] - height + 1), whole(drawn[:, -1:], size[1] - width + 1)
    instead = _fixed((0, 0, 0, 0) if smaller else _largest(size, ratio), drawn.device)
    return torch.cat([top, left, height, width], 1).where(fits.any(1, keepdim=True), instead)


def _largest(size: tuple[int, int], ratio: tuple[float, float]) -> tuple[int, int, int, int]:
    height, width = size
    if width / height < ratio[0]:
        height = round(width / ratio[0])
    elif width / height > ratio[1]:
        width = round(height * ratio[1])
    return (size[0] - height) // 2, (size[1] - width) // 2, height, width


@cache
def _fixed(box: tuple[int, int, int, int], device: torch.device) -> Tensor:
    return torch.tensor(box, device=device)  # once: a copy to a GPU waits for its queued work


@cache
def _proportions(ratio: tuple[float, float], device: torch.device) -> Tensor:
    low, high = math.log(ratio[0]), math.log(ratio[1])
    middles = ((number + 0.5) / _PROPORTIONS for number in range(_PROPORTIONS))
    return torch.tensor([math.exp(low + (high - low) * middle) for middle in middles], device=device)


def inside(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the pixels (N, H, W) inside rectangles (N, 4), as bool."""
    top, left, height, width = boxes.unsqueeze(2).unbind(1)  # (N, 1) each
    rows, columns = (torch.arange(length, device=boxes.device) for length in size)
    is_row, is_column = (rows >= top) & (rows < top + height), (columns >= left) & (columns < left + width)
    return is_row[:, :, None] & is_column[:, None]


def enlarged(images: Tensor, boxes: Tensor) -> Tensor:
    """Return rectangles (n, 4) of images (n, C, H, W) uint8, enlarged to the images' size.

    Pixels are those of `torchvision.transforms.v2.functional.resized_crop` in float32; its own arithmetic for uint8 on
    a CPU rounds twice, and differs by 1 level at most.
    """
    top, left, height, width = boxes.unsqueeze(2).unbind(1)  # (n, 1) each
    rows, columns = _places(images.shape[2], top, height), _places(images.shape[3], left, width)
    size = len(images), *images.shape[2:]
    return bilinear(images, rows[:, :, None].expand(size), columns[:, None].expand(size))


def _places(length: int, start: Tensor, extent: Tensor) -> Tensor:
    """Return the source of each position (n, length), in the part alone: its edges are repeated."""
    centres = torch.arange(length, device=start.device) + 0.5
    return start + (centres * (extent / length) - 0.5).clamp_(min=0).minimum(extent - 1.0)
