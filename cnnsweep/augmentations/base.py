"""Random changes to training images, drawn for each image and on its own device."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from cnnsweep.seeding import uniform_per_item
from cnnsweep.types import Augmentation

# Where the first three draw: all from one stream of five numbers an image, each its own of them. This table is closed:
# whatever is added has a stream of its own.
_FIRST_STREAM, _FIRST_DRAWS = "augment", 5
_FIRST: Mapping[str, slice] = {
    "flip": slice(0, 1),
    "crop": slice(1, 3),  # row, column
    "cutout": slice(3, 5),  # row, column
}


class Draws:
    """Numbers for each of some images in an epoch, from a stream of its own for each augmentation, by its name.

    So neither what else is done to an image nor what is added to the program moves an augmentation's draws.

    Args:
        items: (N,) int64 positions of the images in the data set.
    """

    def __init__(self, seed: int, epoch: int, items: Tensor) -> None:
        self._seed, self._epoch, self._items = seed, epoch, items
        self._first: Tensor | None = None

    def of(self, augmentation: str, count: int) -> Tensor:
        """Return an augmentation's numbers (N, count), float32 in [0, 1), on the device of the items.

        Args:
            count: how many it draws for an image, always the same.
        """
        if augmentation not in _FIRST:
            stream = f"{_FIRST_STREAM}.{augmentation}"
            return uniform_per_item(self._seed, stream, self._epoch, self._items, count)
        if self._first is None:
            self._first = uniform_per_item(self._seed, _FIRST_STREAM, self._epoch, self._items, _FIRST_DRAWS)
        numbers = self._first[:, _FIRST[augmentation]]
        assert numbers.shape[1] == count
        return numbers


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
    draws = Draws(seed, epoch, items)
    changed = _crop_and_flip(images, draws, how) if how.crop or how.flip else images.clone()
    return _cut_out(changed, draws.of("cutout", 2), how.cutout) if how.cutout else changed


def _crop_and_flip(images: Tensor, draws: Draws, how: Augmentation) -> Tensor:
    """Take each pixel from where crop and flip moved it from: whole rows first, which is quick, then columns."""
    count, channels, height, width = images.shape
    columns = torch.arange(width, device=images.device)
    if how.flip:
        columns = torch.where(draws.of("flip", 1) < 0.5, width - 1 - columns, columns)  # (N, W)
    if how.crop:
        moves = _whole(draws.of("crop", 2), 2 * how.crop + 1) - how.crop  # (N, 2): rows, columns
        rows = torch.arange(height, device=images.device) + moves[:, :1]  # (N, H)
        columns = columns + moves[:, 1:]
        # What lies outside comes from one more row and column, of zeros.
        rows = torch.where((rows >= 0) & (rows < height), rows, height)
        columns = torch.where((columns >= 0) & (columns < width), columns, width)
        first_rows = torch.arange(count * channels, device=images.device).view(count, channels, 1) * (height + 1)
        all_rows = functional.pad(images, (0, 1, 0, 1)).reshape(-1, width + 1)
        images = all_rows.index_select(0, (first_rows + rows[:, None]).view(-1))
        images = images.view(count, channels, height, width + 1)
    return images.gather(3, columns[:, None, None].expand(count, channels, height, width))


def _cut_out(images: Tensor, draws: Tensor, side: int) -> Tensor:
    """Set a square to 0, in place."""
    count, channels, height, width = images.shape
    inside = torch.arange(side, device=images.device) - side // 2
    # The centre is in the image, so what lies outside may stand for the nearest pixel of the square inside.
    rows = (_whole(draws[:, :1], height) + inside).clamp(0, height - 1)  # (N, side)
    columns = (_whole(draws[:, 1:], width) + inside).clamp(0, width - 1)
    square = (rows[:, :, None] * width + columns[:, None]).view(count, 1, -1).expand(-1, channels, -1)
    images.view(count, channels, -1).scatter_(2, square, 0)
    return images


def _whole(uniform: Tensor, choices: int) -> Tensor:
    """Turn numbers in [0, 1) into whole ones from 0 to choices - 1."""
    return (uniform * choices).long().clamp(max=choices - 1)  # float32 may round the product up to `choices`
