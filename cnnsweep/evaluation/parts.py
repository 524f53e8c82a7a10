"""Parts of a data set: the images of an evaluation."""

import torch
from torch import Tensor

from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.images import ImageSet
from cnnsweep.errors import DataError, UsageError
from cnnsweep.evaluation.model_card import Split

SPLITS = ("test", "val", "train")


def part_of(dataset: Dataset, how: Split, split: str) -> tuple[ImageSet, Tensor]:
    """Return the images of a part, and their positions.

    Raises:
        DataError: there are no test images.
        UsageError: no images were held out for validation.
    """
    if split == "test":
        if dataset.test is None:
            raise DataError(f"{dataset.name}: no test images; use --split val or --split train")
        return dataset.test, torch.arange(len(dataset.test))
    training, validation = _split_of(dataset, how)
    if split == "train":
        return dataset.train, training
    if not len(validation):
        raise UsageError("--split val: this sweep held no images out for validation (validation: 0); use --split test")
    return dataset.train, validation


def _split_of(dataset: Dataset, how: Split) -> tuple[Tensor, Tensor]:
    folds = how.folds if how.fold is not None else None
    (parts,) = dataset.split(how.validation, folds, how.seed, how.fold)
    return parts


def validation_positions(dataset: Dataset, how: Split) -> Tensor:
    """Return the positions of the run's validation images, which may be none."""
    return _split_of(dataset, how)[1]
