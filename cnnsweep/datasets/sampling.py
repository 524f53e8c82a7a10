"""Order of the images in an epoch that has each class equally often."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnnsweep.seeding import generator, uniform_per_item

_PURPOSE = "balanced"


def balanced_order(indices: Tensor, labels: Tensor, seed: int, epoch: int) -> Tensor:
    """Return positions in the order of an epoch as long as the data, with each class equally often.

    Epochs continue each other: the places of all epochs are numbered, and place s is of class s modulo their number, so
    that the remainder rotates. A class takes its images in permutations, each image once before any comes again. The
    order within the epoch is drawn too. All of it follows from (seed, epoch).

    Args:
        indices: (N,) int64 positions in the data set.
        labels: of these (N,) int64, or (N, classes) of 0 and 1: then an image stands for each of its labels, and images
            without one are a class of their own.
        epoch: from 1.

    Returns:
        (N,) int64. Classes without an image are left out.
    """
    classes = _members(labels)
    count, first = len(indices), (epoch - 1) * len(indices)
    parts = []
    for place, (number, members) in enumerate(classes):
        start, end = (-(-(bound - place) // len(classes)) for bound in (first, first + count))
        parts.append(members[_permuted(len(members), start, end, seed, number)])
    chosen = indices[torch.cat(parts)]
    return chosen[torch.randperm(count, generator=generator(seed, "order", epoch))]


def _members(labels: Tensor) -> Sequence[tuple[int, Tensor]]:
    """Return the number of each class that has images, and their positions (n,)."""
    if labels.ndim > 1:
        has = torch.cat([labels > 0, (labels == 0).all(1, keepdim=True)], 1)
        groups = [column.nonzero()[:, 0] for column in has.unbind(1)]
    else:
        groups = list(torch.split(labels.argsort(stable=True), torch.bincount(labels).tolist()))
    return [(number, members) for number, members in enumerate(groups) if len(members)]


def _permuted(size: int, start: int, end: int, seed: int, number: int) -> Tensor:
    """Return the members at the places from `start` to `end` of a class: numbers below `size`, permutation after
    permutation.
    """
    if not start < end:
        return torch.empty(0, dtype=torch.int64)
    rounds = torch.arange(start // size, -(-end // size))
    items = rounds[:, None] * size + torch.arange(size)
    keys = uniform_per_item(seed, _PURPOSE, number, items.flatten(), 1).view(items.shape)
    return keys.argsort(stable=True, dim=1).flatten()[start - int(rounds[0]) * size :][: end - start]


def repeats(order: Tensor) -> Tensor:
    """Return how often each position of an epoch's order came before (N,) int64."""
    ordered, places = order.sort(stable=True)
    before = torch.arange(len(order)) - torch.searchsorted(ordered, ordered)
    return torch.empty_like(order).scatter_(0, places, before)
