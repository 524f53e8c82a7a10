"""Augmentation of a batch: all augmentations of a run, in their order."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cnnsweep.augmentations.base import AUGMENTATIONS, Augmentation, Move, OwnFunction, in_order, stream_name
from cnnsweep.augmentations.mix import Mix, draw_mix
from cnnsweep.augmentations.moving import moved
from cnnsweep.seeding import derive_seed, uniform_per_item
from cnnsweep.types import Choice

# Streams of the first three: one stream of five numbers per image, of which each has its own. This table is closed:
# later augmentations have their own streams.
_FIRST_STREAM, _FIRST_DRAWS = "augment", 5
_FIRST: Mapping[str, slice] = {
    "flip": slice(0, 1),
    "crop": slice(1, 3),  # row, column
    "cutout": slice(3, 5),  # row, column
}


class Draws:
    """Random numbers for images in an epoch, with a separate stream for each augmentation name.

    Args:
        items: (N,) int64 positions of the images in the data set.
    """

    def __init__(self, seed: int, epoch: int, items: Tensor) -> None:
        self._seed, self._epoch, self._items = seed, epoch, items
        self._drawn: dict[tuple[str, int], Tensor] = {}

    def of(self, augmentation: str, count: int) -> Tensor:
        """Return an augmentation's numbers (N, count), float32 in [0, 1), on the device of the items.

        Args:
            count: the number of draws per image, always the same.
        """
        if augmentation not in _FIRST:
            return self._stream(f"{_FIRST_STREAM}.{augmentation}", count)
        numbers = self._stream(_FIRST_STREAM, _FIRST_DRAWS)[:, _FIRST[augmentation]]
        assert numbers.shape[1] == count
        return numbers

    def _stream(self, stream: str, count: int) -> Tensor:
        if (stream, count) not in self._drawn:
            drawn = uniform_per_item(self._seed, stream, self._epoch, self._items, count)
            self._drawn[stream, count] = drawn
        return self._drawn[stream, count]


def augment(images: Tensor, items: Tensor, choices: Sequence[Choice], seed: int, epoch: int, step: int = 0) -> Tensor:
    """Return the images, changed by each of the augmentations in the order of `in_order`, and mixed at last.

    Args:
        images: (N, C, H, W) uint8; not changed.
        items: (N,) int64 positions in the data set, on the same device. An image's changes depend on
            (seed, epoch, item) alone, not on its batch, but for a user's function of a batch and for a mix.
        step: the number of the batch in its epoch; these two depend on it.

    Returns:
        (N, C, H, W) uint8; `images` itself when no augmentation is given.
    """
    if not choices:
        return images
    draws = Draws(seed, epoch, items)
    changed = images
    for is_move, together in itertools.groupby(_make(tuple(choices)), key=lambda one: isinstance(one[1], Move)):
        named = [(one, functools.partial(draws.of, stream), stream) for stream, one in together]
        if is_move:
            changed = moved(changed, [(move, draw) for move, draw, _ in named])  # type: ignore[misc]
            continue
        changed = images.clone(memory_format=torch.contiguous_format) if changed is images else changed
        for augmentation, draw, stream in named:
            if isinstance(augmentation, OwnFunction):
                changed = augmentation.of_batch(changed, derive_seed(seed, f"{_FIRST_STREAM}.{stream}", epoch, step))
            else:
                changed = augmentation.apply(changed, draw)
    mix = draw_mix(choices, seed, epoch, step, (images.shape[2], images.shape[3]))
    return changed if mix is None else mix.of_images(changed)


@functools.lru_cache(maxsize=256)
def _make(choices: tuple[Choice, ...]) -> list[tuple[str, Augmentation]]:
    """Return the augmentations of images in the order of their application, each with the name of its stream."""
    made = [(stream_name(one), AUGMENTATIONS.make(one)) for one in in_order(choices)]
    return [(stream, one) for stream, one in made if not isinstance(one, Mix)]
