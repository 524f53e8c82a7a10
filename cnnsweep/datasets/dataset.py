"""The common form of loaded data sets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cnnsweep.datasets.decode import FULL_WHITE
from cnnsweep.datasets.fingerprint import digest_part, fingerprint
from cnnsweep.datasets.images import ImageSet, MemoryImages
from cnnsweep.datasets.label_counts import count_labels
from cnnsweep.datasets.splits import fold_indices, hold_out, split_indices
from cnnsweep.datasets.subset_size import subset_problem, subset_size
from cnnsweep.errors import DataError
from cnnsweep.types import LabelCounts

DEFAULT_VALIDATION = 0.1  # the sweep file's


@dataclass(frozen=True)
class Dataset:
    """Training images and, if there are any, test images.

    Attributes:
        train: training images, followed by those of the data set's own validation part.
        fingerprint: SHA-256 of images, labels and class names; of all of them where a subset is used.
        own_validation: number of images in its own validation part; 0 without one.
        white: the value in images of more than 8 bits that becomes 255.
        fingerprint_before: fingerprint of earlier versions, which ignored a folder's validation part.
        found: notes on the user's files, for display.
        whole: number of training images of which `train` has a subset; None if it has them all.
    """

    name: str
    train: ImageSet
    test: ImageSet | None
    classes: tuple[str, ...]
    fingerprint: str
    own_validation: int = 0
    white: int = FULL_WHITE
    fingerprint_before: str | None = None
    found: tuple[str, ...] = ()
    whole: int | None = None

    @property
    def is_multi_label(self) -> bool:
        """True if an image may have any number of labels: labels are (N, classes) of 0 and 1."""
        return self.train.labels.ndim > 1

    def counts(self, labels: Tensor) -> LabelCounts:
        """Return the images of each class among labels of this data set."""
        return count_labels(labels, self.classes)

    def split(
        self, validation: float | int, folds: int | None, seed: int, only_fold: int | None = None
    ) -> list[tuple[Tensor, Tensor]]:
        """Return the positions in `train` of the training and the validation part, in total or for each fold.

        The data set's own validation part, if any, is held out, unless `validation` is 0: then all images are used for
        training.

        Args:
            validation: a share of the images, a count, or 0 for none.
            only_fold: the only fold to return.

        Raises:
            DataError: a part would be empty, or the data set has a validation part and the sweep file asks for another.
        """
        labels = self.train.labels
        if self.own_validation and validation and (folds is not None or validation != DEFAULT_VALIDATION):
            found = f"validation: {{folds: {folds}}}" if folds is not None else f"validation: {validation}"
            raise DataError(
                f"{found}: the data set has a validation part of its own ({self.own_validation:,} images), which is "
                "held out. Leave `validation` out of the sweep file to use it, or move its images to training"
            )
        if self.own_validation and validation:
            first = len(labels) - self.own_validation
            return [(torch.arange(first), torch.arange(first, len(labels)))]
        if folds is None:
            return [split_indices(labels, validation, seed)]
        numbers = range(folds) if only_fold is None else [only_fold]
        return [fold_indices(labels, folds, fold, seed) for fold in numbers]


def with_subset(dataset: Dataset, subset: int | float, seed: int) -> Dataset:
    """Return the data set with some of its training images, the same share of each class.

    Images for testing and those of its own validation part stay whole.

    Args:
        subset: a share of the training images (float below 1), or a count (int).
        seed: the sweep's seed; equal labels, shares and seeds give equal images.

    Raises:
        DataError: there are fewer training images than that, or more classes.
    """
    images = len(dataset.train) - dataset.own_validation
    labels = dataset.train.labels[:images]
    count = subset_size(subset, images)
    if (problem := subset_problem(subset, images, 0 if dataset.is_multi_label else len(dataset.classes))) is not None:
        raise DataError(f"dataset: subset: {problem}")
    _, chosen = hold_out(labels, count, seed, "subset")
    positions = torch.cat([chosen, torch.arange(images, len(dataset.train))])
    return replace(dataset, train=dataset.train.subset(positions), whole=images)


def in_memory(
    name: str, train: MemoryImages, test: MemoryImages | None, classes: tuple[str, ...], found: tuple[str, ...] = ()
) -> Dataset:
    """Return a data set of images in memory, with its fingerprint."""
    digests = (digest_part(train), None if test is None else digest_part(test))
    return Dataset(name, train, test, classes, fingerprint(digests, classes), found=found)
