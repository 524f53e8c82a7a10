"""Split of a data set into training and validation, stratified by class; with several labels an image by each label."""

import torch
from torch import Tensor

from cnnsweep.datasets.multi_label_splits import stratified_parts
from cnnsweep.errors import DataError
from cnnsweep.formatting.numbers import count_text
from cnnsweep.seeding import generator


def split_indices(labels: Tensor, validation: float | int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the positions of the training and the validation part.

    Args:
        labels: (N,) int64 classes, or (N, classes) of 0 and 1.
        validation: a share of all images (float below 1), a count (int), or 0 for none.
        seed: the sweep's seed; equal labels, shares and seeds give equal parts.

    Returns:
        Two sorted int64 tensors that share no position and together hold all N.

    Raises:
        DataError: one of the parts would be empty.
    """
    count = round(validation * len(labels)) if isinstance(validation, float) else validation
    if validation and not 0 < count < len(labels):
        raise DataError(
            f"validation: {validation} of {count_text(len(labels), 'training image')} would hold out {count}; "
            f"both parts need at least one image: give a share or count that leaves 1 to {len(labels) - 1}, "
            "or 0 for no validation"
        )
    if len(labels) == 0:
        raise DataError("the training set has no images")
    return hold_out(labels, count, seed, "split")


def fold_indices(labels: Tensor, folds: int, fold: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return the training and validation positions of a fold; each image is held out in exactly one fold.

    Images are dealt to the folds in turn, class after class, in a random order. So the folds differ by at most one
    image, both in each class and in total.

    Args:
        labels: (N,) int64 classes, or (N, classes) of 0 and 1.
        folds: number of folds, at least 2.
        fold: the fold that is held out, from 0.
        seed: the sweep's seed; equal labels, folds and seeds give equal parts.

    Returns:
        Two sorted int64 tensors that share no position and together hold all N.

    Raises:
        DataError: there are fewer images than folds.
    """
    if len(labels) < folds:
        raise DataError(
            f"validation: {folds} folds of {count_text(len(labels), 'training image')} would leave some empty; "
            "each needs at least one image: give fewer folds"
        )
    order = torch.randperm(len(labels), generator=generator(seed, "folds"))
    if labels.ndim > 1:
        sizes = [len(range(start, len(labels), folds)) for start in range(folds)]
        return _positions(stratified_parts(labels, sizes, order) == fold)
    by_class = order[torch.argsort(labels[order], stable=True)]
    is_held_out = torch.arange(len(labels)) % folds == fold
    return by_class[~is_held_out].sort().values, by_class[is_held_out].sort().values


def hold_out(labels: Tensor, count: int, seed: int, purpose: str) -> tuple[Tensor, Tensor]:
    """Split off `count` positions, as close to every class's share as whole images allow (largest remainder).

    With several labels an image, see `multi_label_splits`.

    Returns:
        The rest and the held-out positions, sorted int64.
    """
    if labels.ndim > 1:
        order = torch.randperm(len(labels), generator=generator(seed, purpose))
        return _positions(stratified_parts(labels, (len(labels) - count, count), order) == 1)
    sizes = torch.bincount(labels)
    products = sizes * count
    quotas = products // len(labels)
    # Stable, so that the lower class gets the image for equal remainders on every machine.
    by_remainder = torch.argsort(products % len(labels), descending=True, stable=True)
    quotas[by_remainder[: count - int(quotas.sum())]] += 1

    # In a random order, the n-th image of its class is held out where n is below the class's quota.
    order = torch.randperm(len(labels), generator=generator(seed, purpose))
    by_class = order[torch.argsort(labels[order], stable=True)]
    starts = torch.cumsum(sizes, 0) - sizes
    classes = labels[by_class]
    is_held_out = torch.arange(len(labels)) - starts[classes] < quotas[classes]
    return by_class[~is_held_out].sort().values, by_class[is_held_out].sort().values


def _positions(is_held_out: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positions of the others and of the held-out images."""
    return (~is_held_out).nonzero()[:, 0], is_held_out.nonzero()[:, 0]
