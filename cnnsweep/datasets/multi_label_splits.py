"""Iterative stratification of images with several labels (Sechidis et al., 2011).

The rarest label goes first: each of its images goes to the part that lacks most of that label, and of equal parts to
the one that lacks most images. Here, parts have exact sizes, images with equal further labels are spread over parts,
the order is a seeded one, and sums are whole numbers, so that every machine gives the same parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_KEY_BITS = 62  # labels by which images are sorted, in one number


def stratified_parts(labels: Tensor, sizes: Sequence[int], order: Tensor) -> Tensor:
    """Return the part of each image, (N,) int64.

    Args:
        labels: (N, classes) of 0 and 1.
        sizes: number of images of each part; together N.
        order: positions (N,) in the order in which equal images are dealt.
    """
    images = len(labels)
    assert sum(sizes) == images
    has = labels[order].bool()  # in the order of dealing
    free = torch.tensor(sizes)  # (parts,)
    # How many images of each label a part lacks, times N so that shares are whole numbers.
    lacking = has.sum(0) * free[:, None]  # (parts, classes)
    part = torch.full((images,), -1, dtype=torch.int64)
    left = has.sum(0)
    while bool((left > 0).any()):
        label = int(torch.where(left > 0, left, images + 1).argmin())
        chosen = (has[:, label] & (part < 0)).nonzero()[:, 0]
        chosen = chosen[torch.argsort(_keys(has[chosen], left), stable=True)]
        part[chosen] = _spread(_dealt(len(chosen), lacking[:, label], free, images), len(sizes))
        for number in range(len(sizes)):
            given = has[chosen[part[chosen] == number]]
            lacking[number] -= images * given.sum(0)
            free[number] -= len(given)
        left -= has[chosen].sum(0)
    rest = (part < 0).nonzero()[:, 0]  # images without a label
    part[rest] = _dealt(len(rest), torch.zeros_like(free), free, images)
    return torch.empty_like(part).scatter_(0, order, part)


def _keys(has: Tensor, left: Tensor) -> Tensor:
    """Return a number for each image that is equal for equal labels; rarer labels count more."""
    by_rarity = torch.argsort(torch.where(left > 0, left, len(has) + left.max() + 1), stable=True)[:_KEY_BITS]
    return has[:, by_rarity].long() @ 2 ** torch.arange(len(by_rarity) - 1, -1, -1)


def _dealt(count: int, lacking: Tensor, free: Tensor, images: int) -> Tensor:
    """Return the parts of `count` images in turn: always the part that lacks most of the label, then most images."""
    turns = torch.arange(count)
    demand = (lacking[:, None] - images * turns).flatten()  # (parts · count), one column for each image dealt
    room = (free[:, None] - turns).flatten()
    numbers = torch.arange(len(free)).repeat_interleave(count)
    usable = (room > 0).nonzero()[:, 0]
    by_room = usable[torch.argsort(room[usable], descending=True, stable=True)]
    by_demand = by_room[torch.argsort(demand[by_room], descending=True, stable=True)]
    return numbers[by_demand[:count]]


def _spread(dealt: Tensor, parts: int) -> Tensor:
    """Return the same parts in an order that has each of them at even distances."""
    counts = torch.bincount(dealt, minlength=parts)
    numbers = torch.arange(parts).repeat_interleave(counts)
    turns = torch.arange(len(dealt)) - (counts.cumsum(0) - counts)[numbers]
    # The middle of each turn, as a fraction of whole numbers: exact up to 2^53.
    return numbers[torch.argsort((2 * turns + 1).double() / counts[numbers], stable=True)]
