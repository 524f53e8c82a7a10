"""Number of images of each class, and of the most frequent set of labels."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cnnsweep.types import LabelCounts


def count_labels(labels: Tensor, classes: Sequence[str]) -> LabelCounts:
    """Return the images of each class.

    Args:
        labels: (N,) int64, or (N, classes) of 0 and 1.
    """
    is_multi_label = labels.ndim > 1
    counts = labels.sum(0, dtype=torch.int64) if is_multi_label else torch.bincount(labels, minlength=len(classes))
    return LabelCounts(tuple(classes), tuple(counts.tolist()), len(labels), is_multi_label)


def count_label_sets(labels: Tensor, classes: Sequence[str]) -> LabelCounts:
    """Return the images of each class, with several labels an image also those of the most frequent set of labels.

    Of equally frequent sets, the one that occurs first counts.

    Args:
        labels: see `count_labels`.
    """
    counts = count_labels(labels, classes)
    if not counts.is_multi_label or not counts.images:
        return counts
    rows = labels.cpu().numpy()
    first, images = _most_frequent(np.packbits(rows, axis=1))
    names = tuple(name for name, given in zip(classes, rows[first], strict=True) if given)
    return dataclasses.replace(counts, frequent_labels=names, frequent_images=images)


def _most_frequent(rows: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Return the position of the first of the most frequent rows, and how often it occurs."""
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1])))[:, 0]
    _, firsts, counts = np.unique(keys, return_index=True, return_counts=True)
    most = counts.max()
    return int(firsts[counts == most].min()), int(most)
