"""Images by class of each part of the data."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.label_counts import count_label_sets
from cnnsweep.types import LabelCounts, PartCounts

Splits = Sequence[tuple[Tensor, Tensor]]


def count_parts(dataset: Dataset, splits: Splits) -> PartCounts:
    """Return the images of each class in training, validation and test.

    Args:
        splits: training and validation positions, see `Dataset.split`; several are folds, of which the one with the
            largest share of one class among its held-out images is counted: there, a constant answer reaches most.
    """
    labels = dataset.train.labels
    folds = [count_label_sets(labels[held_out], dataset.classes) for _, held_out in splits]
    fold = max(range(len(folds)), key=lambda number: _largest_share(folds[number]))
    training, validation = count_label_sets(labels[splits[fold][0]], dataset.classes), folds[fold]
    return PartCounts(
        training,
        validation if validation.images else None,
        None if dataset.test is None else dataset.counts(dataset.test.labels),
        fold if len(folds) > 1 else None,
    )


def _largest_share(counts: LabelCounts) -> float:
    """Return the accuracy of a constant answer."""
    most = max(counts.counts, default=0) if counts.frequent_images is None else counts.frequent_images
    return most / counts.images if counts.images else 0.0
