"""Loading of data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from cnnsweep.datasets.base import DATASETS, DatasetConfig, Loading
from cnnsweep.datasets.custom import load_custom
from cnnsweep.datasets.dataset import Dataset, in_memory, with_subset
from cnnsweep.datasets.memory import image_memory_bytes
from cnnsweep.errors import DataError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.plugins import is_reference
from cnnsweep.registry import argument_mistake
from cnnsweep.types import DatasetChoice


def load_dataset(
    choice: DatasetChoice,
    data_root: Path,
    progress: Callable[[str, int, int], None] | None = None,
    memory_bytes: int | None = None,
    *,
    seed: int = 0,
) -> Dataset:
    """Return the data set of the sweep file, downloaded or decoded if necessary.

    Args:
        choice: with a subset, only its images are kept of those to train on.
        data_root: folder of the data sets; only downloads write to it.
        progress: called with the activity, the amount done and the total.
        memory_bytes: limit of the images in memory; by default half of the free memory.
        seed: the sweep's seed, which draws the subset.

    Raises:
        DataError: the data are missing, damaged or of unexpected content.
        UsageError: the user's own function does not exist.
    """
    loading = Loading(
        image_memory_bytes() if memory_bytes is None else memory_bytes, progress or (lambda _what, _done, _total: None)
    )
    dataset = _load(choice, data_root, loading)
    return dataset if choice.subset is None else with_subset(dataset, choice.subset, seed)


def _load(choice: DatasetChoice, data_root: Path, loading: Loading) -> Dataset:
    if is_reference(choice.name):
        return in_memory(choice.name, *load_custom(choice.name, choice.arguments, loading))
    return _configured(choice).load(data_root, loading)


def _configured(choice: DatasetChoice) -> DatasetConfig:
    """Check the arguments again: not all of them come from a sweep file."""
    try:
        dataset = DATASETS.get(choice.name)
    except KeyError:
        message = f"dataset: unknown '{safe_text(choice.name)}'; `cnnsweep datasets` lists the known ones"
        raise DataError(message) from None
    try:
        return dataset.model_validate(choice.arguments)
    except ValidationError as error:
        raise DataError(f"dataset: {choice.name}: {safe_text(argument_mistake(dataset, error))}") from None
