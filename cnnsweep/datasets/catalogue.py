"""The data sets that a sweep file can name, and their properties, without reading data and without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnnsweep.datasets.base import DATASETS
from cnnsweep.plugins import is_reference
from cnnsweep.types import DatasetChoice

_CUSTOM = "your own function, which returns images and labels"


@dataclass(frozen=True, slots=True)
class DatasetDescription:
    """A row of `cnnsweep datasets`; values that depend on files or arguments are None."""

    name: str
    description: str
    image_shape: tuple[int, int, int] | None
    classes: int | None
    train: int | None
    test: int | None
    source: str
    is_present: bool | None


def describe_datasets(data_root: Path) -> list[DatasetDescription]:
    """Return every data set that a sweep file can name, and the presence of its files below the data root.

    EMNIST stands for its `balanced` split, and is present if any of its splits is.
    """
    rows = [_described(name, data_root) for name in DATASETS.names]
    for name in ("package.module:function", "path/to/file.py:function"):
        rows.append(DatasetDescription(name, _CUSTOM, None, None, None, None, "your own code", None))
    return rows


def _described(name: str, data_root: Path) -> DatasetDescription:
    dataset = DATASETS.get(name)
    info = dataset.model_construct().info
    return DatasetDescription(
        name,
        dataset.summary(),
        info.image_shape,
        info.classes,
        info.train,
        info.test,
        info.source,
        dataset.is_present(data_root),
    )


def images_and_classes(dataset: DatasetChoice) -> tuple[tuple[int, int, int], int] | None:
    """Return (C, H, W) and the number of classes, if name and arguments determine both."""
    if is_reference(dataset.name):
        return None
    info = DATASETS.get(dataset.name)(**dataset.arguments).info
    return None if info.image_shape is None or info.classes is None else (info.image_shape, info.classes)
