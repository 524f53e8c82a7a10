"""Checks that a checkpoint and a data set belong together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnsweep.datasets.dataset import Dataset
from cnnsweep.errors import CheckpointError
from cnnsweep.evaluation.model_card import Description

_MOST_SHOWN, _LONGEST_SHOWN = 20, 60  # maximum class names in a message, and characters of each


def check_fit(path: Path, about: Description, dataset: Dataset) -> None:
    """Raise `CheckpointError` if the checkpoint was trained on images or labels of another form."""
    if dataset.train.image_shape != about.image_shape:
        raise CheckpointError(
            f"{path}: was trained on images of {_times(about.image_shape)}, but {dataset.name} has "
            f"{_times(dataset.train.image_shape)} here"
        )
    if dataset.classes != about.classes:
        raise CheckpointError(
            f"{path}: was trained on the classes {_listed(about.classes)}, but {dataset.name} has "
            f"{_listed(dataset.classes)} here"
        )
    if dataset.is_multi_label != about.is_multi_label:
        trained, found = ("several labels", "one") if about.is_multi_label else ("one label", "several")
        raise CheckpointError(f"{path}: was trained on {trained} an image, but {dataset.name} has {found} here")


def _listed(classes: Sequence[str]) -> str:
    names = [name[:_LONGEST_SHOWN] for name in classes[:_MOST_SHOWN]]
    return ", ".join(names) + (f" and {len(classes) - _MOST_SHOWN:,} more" if len(classes) > _MOST_SHOWN else "")


def _times(shape: Any) -> str:
    return "×".join(map(str, shape))
