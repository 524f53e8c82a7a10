"""Data sets by name: where their images come from, and what they are."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnnsweep.config.names import DATASETS, EMNIST_SPLITS
from cnnsweep.datasets.base import ImageSet, MemoryImages
from cnnsweep.datasets.custom import load_own
from cnnsweep.datasets.decode import FULL_WHITE
from cnnsweep.datasets.fingerprint import digest_part, fingerprint
from cnnsweep.datasets.folder_notes import describe_folder
from cnnsweep.datasets.folder_options import FolderOptions
from cnnsweep.datasets.image_folder import load_image_folder
from cnnsweep.datasets.memory import gigabytes, image_memory_bytes
from cnnsweep.datasets.splits import fold_indices, split_indices
from cnnsweep.datasets.synthetic import OUTLINES, ShapesOptions, draw_shapes
from cnnsweep.datasets.torchvision import load_published
from cnnsweep.datasets.torchvision_info import PUBLISHED_NAMES
from cnnsweep.errors import DataError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.plugins import is_reference
from cnnsweep.types import DatasetChoice

DEFAULT_VALIDATION = 0.1  # the sweep file's
_MOST_DRAWN_BYTES = 8 * 10**9  # of shapes, a set to try things out; ten million images of the usual size


@dataclass(frozen=True)
class Dataset:
    """Images to train on and, where there are any, to test on.

    Attributes:
        train: also the images of the data set's own validation part, which come last.
        fingerprint: SHA-256 of all that matters.
        own_validation: how many of `train` are its own validation part; 0 where it has none.
        white: the value that pictures of more than 8 bits have for 255.
        fingerprint_before: what earlier versions said of a folder whose validation part they passed over.
        found: in words what a person should know of their own files.
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

    def split(
        self, validation: float | int, folds: int | None, seed: int, only_fold: int | None = None
    ) -> list[tuple[Tensor, Tensor]]:
        """Return the positions in `train` that are trained on and those held out, once or for each fold.

        The data set's own validation part is held out where it has one, unless `validation` is 0: then all is trained
        on.

        Args:
            validation: a share of the images, a count, or 0 for none.
            only_fold: the one to return, instead of all.

        Raises:
            DataError: nothing would be left for a part, or the data set's own part leaves nothing to choose.
        """
        labels = self.train.labels
        if self.own_validation and validation and (folds is not None or validation != DEFAULT_VALIDATION):
            found = f"validation: {{folds: {folds}}}" if folds is not None else f"validation: {validation}"
            raise DataError(
                f"{found}: the data set has a validation part of its own ({self.own_validation:,} images), which is "
                "held out. Leave `validation` out of the sweep file to use it, or move its images to those to train on"
            )
        if self.own_validation and validation:
            first = len(labels) - self.own_validation
            return [(torch.arange(first), torch.arange(first, len(labels)))]
        if folds is None:
            return [split_indices(labels, validation, seed)]
        numbers = range(folds) if only_fold is None else [only_fold]
        return [fold_indices(labels, folds, fold, seed) for fold in numbers]


def load_dataset(
    choice: DatasetChoice,
    data_root: Path,
    progress: Callable[[str, int, int], None] | None = None,
    memory_bytes: int | None = None,
) -> Dataset:
    """Return the data set of the sweep file, downloaded or decoded if need be.

    Args:
        data_root: where data sets lie; written to only by a download.
        progress: called with what is being done, how much of it is done, and how much there is.
        memory_bytes: the most that images may take in memory; by default half of what is free.

    Raises:
        DataError: the data are missing, damaged or not what they should be.
        UsageError: a person's own function does not exist.
    """
    tell = progress or (lambda _what, _done, _total: None)
    limit = image_memory_bytes() if memory_bytes is None else memory_bytes
    arguments = dict(choice.arguments)
    if is_reference(choice.name):
        return _in_memory(choice.name, *load_own(choice.name, arguments, limit, tell))
    if choice.name not in DATASETS:
        raise DataError(f"dataset: unknown '{safe_text(choice.name)}'; `cnnsweep datasets` lists what is known")
    _refuse_unknown(choice.name, arguments)
    if choice.name == "image_folder":
        folder = load_image_folder(FolderOptions.of(arguments), data_root, limit, tell)
        return Dataset(
            choice.name,
            folder.train,
            folder.test,
            folder.classes,
            folder.index.fingerprint,
            folder.own_validation,
            folder.index.form.white,
            folder.index.fingerprint_before,
            tuple(describe_folder(folder.listing, folder.index)),
        )
    if choice.name == "shapes":
        return _shapes(ShapesOptions(**arguments), limit, tell)
    assert choice.name in PUBLISHED_NAMES
    split = arguments.get("split", "balanced")
    if split not in EMNIST_SPLITS:
        raise DataError(f"dataset: emnist.split is {reprlib.repr(split)}; allowed is {', '.join(EMNIST_SPLITS)}")
    return _in_memory(choice.name, *load_published(choice.name, split, data_root, tell))


def _refuse_unknown(name: str, arguments: dict[str, Any]) -> None:
    allowed = DATASETS[name].arguments
    if unknown := [key for key in arguments if key not in allowed]:
        takes = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
        raise DataError(f"dataset: {name} has no argument '{safe_text(unknown[0])}'; {takes}")


def _shapes(options: ShapesOptions, memory_bytes: int, tell: Callable[[str, int, int], None]) -> Dataset:
    limits = {"size": (8, 512), "classes": (2, len(OUTLINES)), "train": (1, 10**7), "test": (1, 10**7)}
    for field in fields(options):
        value = getattr(options, field.name)
        low, high = limits.get(field.name, (0, 2**63 - 1))
        if type(value) is not int or not low <= value <= high or (field.name == "channels" and value not in (1, 3)):
            allowed = "1 or 3" if field.name == "channels" else f"a whole number from {low} to {high}"
            raise DataError(f"dataset: shapes.{field.name} is {reprlib.repr(value)}; allowed is {allowed}")
    needed = (options.train + options.test) * options.channels * options.size**2
    if needed > (most := min(memory_bytes, _MOST_DRAWN_BYTES)):
        raise DataError(
            f"dataset: shapes of {options.train:,} + {options.test:,} images take {gigabytes(needed)}; allowed are "
            f"{gigabytes(most)}: give fewer (train, test) or smaller ones (size)"
        )
    train = MemoryImages(*draw_shapes(options, "train", options.train, tell))
    test = MemoryImages(*draw_shapes(options, "test", options.test, tell))
    return _in_memory("shapes", train, test, tuple(OUTLINES)[: options.classes])


def _in_memory(name: str, train: MemoryImages, test: MemoryImages | None, classes: tuple[str, ...]) -> Dataset:
    digests = (digest_part(train), None if test is None else digest_part(test))
    return Dataset(name, train, test, classes, fingerprint(digests, classes))
