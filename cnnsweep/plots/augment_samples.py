"""A picture of training images before and after each value of `augment`, with the draws of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cnnsweep.augmentations.augment import augment
from cnnsweep.config.dump import as_written, flow_yaml, shortened
from cnnsweep.config.schema import SweepSpec
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.load import load_dataset
from cnnsweep.errors import DataError, UsageError
from cnnsweep.plots.picture_grid import Block, grid_as_png
from cnnsweep.samplers.space import Interval
from cnnsweep.storage.atomic_files import replace_file, unwritable
from cnnsweep.training.check_augmentations import augment_values, check_augmentations
from cnnsweep.types import Choice

MOST_BLOCKS = 24
_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """Options of a picture of samples.

    Attributes:
        file: the PNG file to write.
        images: number of training images, of different classes as far as possible.
        epochs: number of epochs, from the first.
        loading: called with the progress of loading: (activity, done, total).
    """

    file: Path
    data_root: Path
    images: int = 8
    epochs: int = 6
    loading: Callable[[str, int, int], None] | None = None


@dataclass(frozen=True, slots=True)
class WrittenSamples:
    """The content of a written picture.

    Attributes:
        values: the values of `augment` that it shows, as a sweep file writes them.
        left_out: the number of values beyond those.
        images: the number of images; a small data set may have fewer than wanted.
    """

    file: Path
    values: tuple[str, ...]
    left_out: int
    images: int


def write_samples(spec: SweepSpec, options: SampleOptions) -> WrittenSamples:
    """Write the picture: a block for each value of `augment`, a row for each image, a column for each epoch.

    Raises:
        UsageError: the sweep augments nothing, an augmentation cannot be used, or the file's name does not fit.
        DataError: the images cannot be loaded.
        FolderError: the file cannot be written.
    """
    _check_file(options.file)
    values = [value for value in augment_values(spec) if value]
    if not values:
        text = "augment: found none in every trial; name one in the sweep file, or try --set params.augment=flip+crop"
        raise UsageError(text)
    dataset = load_dataset(spec.dataset_choice, options.data_root, options.loading)
    check_augmentations(spec, dataset, _CPU)
    training, _ = dataset.split(spec.validation, spec.folds, spec.seed, only_fold=0)[0]
    items = training[_of_each_class(dataset.train.labels[training], options.images)]
    images, labels = _read(dataset, items)
    rows = [_name(label, dataset.classes) for label in labels]
    shown = values[:MOST_BLOCKS]
    blocks = [_block(value, images, items, rows, _first_seed(spec), options.epochs) for value in shown]
    try:
        replace_file(options.file, grid_as_png(blocks))
    except OSError as error:
        raise unwritable(options.file, error) from error
    titles = tuple(_title(value) for value in shown)
    return WrittenSamples(options.file, titles, len(values) - len(shown), len(items))


def _check_file(file: Path) -> None:
    if file.is_dir():
        raise UsageError(f"--output: {file} is a folder; name a file, as in: --output augment.png")
    if file.suffix.lower() != ".png":
        raise UsageError(f"--output: found {file.name}, allowed is a name that ends in .png")


def _read(dataset: Dataset, items: Tensor) -> tuple[Tensor, Tensor]:
    try:
        return next(iter(dataset.train.batches([items], _CPU)))
    except OSError as error:
        raise DataError(f"the images cannot be read ({type(error).__name__}: {error})") from error


def _block(
    value: tuple[Choice, ...], images: Tensor, items: Tensor, rows: Sequence[str], seed: int, epochs: int
) -> Block:
    after = [augment(images, items, value, seed, epoch) for epoch in range(1, epochs + 1)]
    columns = ["original", *(f"epoch {epoch}" for epoch in range(1, epochs + 1))]
    return Block(f"augment: {_title(value)}", rows, columns, torch.stack([images, *after], 1))


def _title(value: tuple[Choice, ...]) -> str:
    return flow_yaml(as_written(shortened(value)))


def _first_seed(spec: SweepSpec) -> int:
    """Return the seed of the first run."""
    axis = spec.axes.get("seed", (None,))
    first = spec.seeds[0] if spec.seeds else None if isinstance(axis, Interval) else axis[0]
    return spec.seed if first is None else first


def _of_each_class(labels: Tensor, count: int) -> Tensor:
    """Return the positions of images: the first of each class, then the second of each, and so on."""
    classes = labels.argmax(1) if labels.ndim > 1 else labels
    by_class = torch.argsort(classes, stable=True)
    ordered = classes[by_class]
    before = torch.arange(len(ordered)) - torch.searchsorted(ordered, ordered)
    order = by_class[torch.argsort(before, stable=True)]
    return order[:count]


def _name(label: Tensor, classes: Sequence[str]) -> str:
    if label.ndim:
        return "+".join(classes[place] for place in label.nonzero().flatten().tolist()) or "none"
    return classes[int(label)]
