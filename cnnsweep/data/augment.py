"""Random changes to training images, drawn for each image and on its own device."""

import torch
from torch import Tensor

from cnnsweep.randomness import uniform_per_item
from cnnsweep.records import Augmentation

_DRAWS = 5  # flip, crop row and column, cutout row and column: always all, so that one setting moves no other's draws


def augment(images: Tensor, items: Tensor, how: Augmentation, seed: int, epoch: int) -> Tensor:
    """Return the images, each cropped, then flipped, then with a square blanked, as `how` says.

    Crop pads by zeros and cuts the original size out of a random place; flip is left-right with probability 1/2.
    Cutout follows DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout
    (arXiv:1708.04552): a square centred anywhere, so that part of it may lie outside. Ours blanks to the pixel value 0
    before normalisation, theirs to 0 after it; and an odd side stays odd.

    Args:
        images: (N, C, H, W) uint8.
        items: (N,) int64 positions in the data set, on the same device. An image's changes depend on
            (seed, epoch, item) alone, not on its batch.

    Returns:
        (N, C, H, W) uint8; `images` itself when nothing is asked for.
    """
    if how == Augmentation():
        return images
    count, channels, height, width = images.shape
    draws = uniform_per_item(seed, "augment", epoch, items, _DRAWS)
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)

    # Where each pixel of the result comes from, (N, H) and (N, W); outside the image there is padding.
    is_flipped = (draws[:, :1] < 0.5) & how.flip
    from_rows = rows + _whole(draws[:, 1:2], 2 * how.crop + 1) - how.crop
    from_columns = torch.where(is_flipped, width - 1 - columns, columns)
    from_columns = from_columns + _whole(draws[:, 2:3], 2 * how.crop + 1) - how.crop

    source = from_rows.clamp(0, height - 1)[:, :, None] * width + from_columns.clamp(0, width - 1)[:, None, :]
    source = source.view(count, 1, height * width).expand(-1, channels, -1)
    changed = images.reshape(count, channels, height * width).gather(2, source).view_as(images)
    if how.crop:
        is_row, is_column = (from_rows >= 0) & (from_rows < height), (from_columns >= 0) & (from_columns < width)
        changed *= (is_row[:, :, None] & is_column[:, None, :])[:, None]
    if how.cutout:
        is_row = _in_square(rows, _whole(draws[:, 3:4], height), how.cutout)
        is_column = _in_square(columns, _whole(draws[:, 4:5], width), how.cutout)
        changed *= ~(is_row[:, :, None] & is_column[:, None, :])[:, None]
    return changed


def _whole(uniform: Tensor, choices: int) -> Tensor:
    """Turn numbers in [0, 1) into whole ones from 0 to choices - 1."""
    return (uniform * choices).long().clamp(max=choices - 1)  # float32 may round the product up to `choices`


def _in_square(places: Tensor, centres: Tensor, side: int) -> Tensor:
    """Tell for each image (N, 1) which places (L,) its square covers: (N, L)."""
    offsets = places - centres + side // 2
    return (offsets >= 0) & (offsets < side)
