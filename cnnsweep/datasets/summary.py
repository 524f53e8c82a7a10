"""Summary of the data in a few lines: classes, images of each part, sizes, files left out."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from cnnsweep.datasets.dataset import Dataset
from cnnsweep.formatting.class_counts import short_class
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text

_MOST_CLASSES = 5

Splits = Sequence[tuple[Tensor, Tensor]]


def describe_data(dataset: Dataset, splits: Splits) -> list[str]:
    """Return lines on a data set and its parts.

    Args:
        splits: training and validation positions, see `Dataset.split`; several are folds.
    """
    training, validation = splits[0]
    channels, height, width = dataset.train.image_shape
    colour = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    parts = [f"{len(training):,} to train on"]
    if len(splits) > 1:
        parts = [f"{len(dataset.train):,} in {len(splits)} folds"]
    elif len(validation):
        parts.append(f"{len(validation):,} for validation{' (its own)' if dataset.own_validation else ''}")
    parts.append("none for testing" if dataset.test is None else f"{len(dataset.test):,} for testing")
    return [
        f"data: {safe_text(dataset.name)}, {_classes(dataset)}; {colour} images of {height}×{width}",
        f"images: {', '.join(parts)}",
        *_subset(dataset),
        *(f"images: {line}" for line in dataset.found),
    ]


def _subset(dataset: Dataset) -> list[str]:
    if dataset.whole is None:
        return []
    used = len(dataset.train) - dataset.own_validation
    return [f"subset: {used:,} of {dataset.whole:,} images to train and validate on"]


def missing_images(dataset: Dataset, splits: Splits) -> list[str]:
    """Return a warning for each part that lacks images of some class, which is then not learned or measured.

    With folds, the warning is for the fold that lacks most classes.
    """
    labels = dataset.train.labels
    whole = dataset.counts(labels)
    parts = {
        "to train on": [labels[training] for training, _ in splits],
        "for validation": [labels[validation] for _, validation in splits],
        "for testing": [] if dataset.test is None else [dataset.test.labels],
    }
    found = []
    for part, chosen in parts.items():
        lacking = max((_lacking(one, dataset) for one in chosen if len(one)), key=len, default=[])
        if lacking:
            names = _listed([dataset.classes[label] for label in lacking])
            fold = "in one fold " if len(chosen) > 1 else ""
            most = max(whole.counts[label] for label in lacking)
            found.append(f"{fold}no image is left {part} of {names} (at most {most:,} to train and validate on)")
    return found


def _lacking(labels: Tensor, dataset: Dataset) -> list[int]:
    return [label for label, count in enumerate(dataset.counts(labels).counts) if not count]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(short_class(name) for name in names[:_MOST_CLASSES])
    return shown if len(names) <= _MOST_CLASSES else f"{shown} and {len(names) - _MOST_CLASSES:,} more"


def _classes(dataset: Dataset) -> str:
    """Return `3 classes (cat, dog, elk)`, or `3 labels (…)` if images have several."""
    one, several = ("label", "labels") if dataset.is_multi_label else ("class", "classes")
    return f"{count_text(len(dataset.classes), one, several)} ({_listed(dataset.classes)})"
