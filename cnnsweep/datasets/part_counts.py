"""Images by class of each part of the data."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cnnsweep.datasets.dataset import Dataset
from cnnsweep.types import LabelCounts, PartCounts

Splits = Sequence[tuple[Tensor, Tensor]]


def count_parts(dataset: Dataset, splits: Splits) -> PartCounts:
    """Return the images of each class in training, validation and test.

    Args:
        splits: training and validation positions, see `Dataset.split`; several are folds, of which the one with the
            largest share of one class among its held-out images is counted: there, a constant answer reaches most.
    """
    labels = dataset.train.labels
    folds = [(dataset.counts(labels[training]), dataset.counts(labels[held_out])) for training, held_out in splits]
    fold = max(range(len(folds)), key=lambda number: _largest_share(folds[number][1]))
    training, validation = folds[fold]
    return PartCounts(
        training,
        validation if validation.images else None,
        None if dataset.test is None else dataset.counts(dataset.test.labels),
        fold if len(folds) > 1 else None,
    )


def _largest_share(counts: LabelCounts) -> float:
    return max(counts.counts, default=0) / counts.images if counts.images else 0.0
