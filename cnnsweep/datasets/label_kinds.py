"""Labels of all parts of a custom data set in their final form: (N,) int64, or (N, classes) uint8 of 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnsweep.datasets.custom_labels import GivenLabels, Names
from cnnsweep.datasets.label_counts import count_labels
from cnnsweep.errors import DataError
from cnnsweep.field_types import nearest_name
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text

_ONE_HOT = (
    "the labels (N, classes) have exactly one 1 in each row, so each image has one label; N whole numbers are the "
    "usual form of this, and a list of labels for each image means several"
)
_MOST_NAMES = 10


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels by part, class names, and notes on them for display."""

    parts: Mapping[str, Tensor]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def common_labels(reference: str, given: Mapping[str, GivenLabels], names: Sequence[str] | None) -> Labels:
    """Return the labels of all parts, of the same kind.

    Args:
        given: the labels by the name of the part.
        names: the classes, or None if their numbers name them.

    Raises:
        DataError: the parts have different kinds, or labels do not fit the classes.
    """
    if all(isinstance(labels, Tensor) and (labels.ndim == 1 or _is_one_hot(labels)) for labels in given.values()):
        return _single(reference, given, names)
    kinds = {part: _kind(labels) for part, labels in given.items()}
    if len(set(kinds.values())) > 1:
        found = ", but ".join(f"{part} has {kind}" for part, kind in kinds.items())
        raise DataError(f"{reference}: {found}; expected one kind of labels in both parts")
    labels = _from_lists(reference, given, names) if "lists" in next(iter(kinds.values())) else _rows(given)
    classes = tuple(names) if names is not None else labels.classes
    for part, matrix in labels.parts.items():
        if matrix.shape[1] != len(classes):
            found = f"{matrix.shape[1]:,} columns, but there are {count_text(len(classes), 'class', 'classes')}"
            raise DataError(f"{reference}: {part}: the labels have {found}; expected one column a class")
    return Labels(labels.parts, classes, describe_labels(labels.parts["train"], classes))


def _single(reference: str, given: Mapping[str, GivenLabels], names: Sequence[str] | None) -> Labels:
    parts = {part: labels for part, labels in given.items() if isinstance(labels, Tensor)}
    numbers = {part: labels if labels.ndim == 1 else labels.argmax(1) for part, labels in parts.items()}
    highest = max(int(labels.max()) for labels in numbers.values())
    classes = tuple(map(str, range(highest + 1))) if names is None else tuple(names)
    for part, labels in numbers.items():
        if not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
            found = f"{int(labels.min())} to {int(labels.max())}"
            raise DataError(f"{reference}: {part}: labels go from {found}, but must lie in 0 to {len(classes) - 1}")
    return Labels(numbers, classes, (_ONE_HOT,) if parts["train"].ndim > 1 else ())


def _kind(labels: GivenLabels) -> str:
    if isinstance(labels, list):
        return "lists of labels"
    return "one label an image" if labels.ndim == 1 else "rows of 0 and 1 (several labels an image)"


def _is_one_hot(labels: Tensor) -> bool:
    return bool((labels.sum(1) == 1).all())


def _rows(given: Mapping[str, GivenLabels]) -> Labels:
    parts = {part: labels for part, labels in given.items() if isinstance(labels, Tensor)}
    return Labels(parts, tuple(map(str, range(parts["train"].shape[1]))))


def _from_lists(reference: str, given: Mapping[str, GivenLabels], names: Sequence[str] | None) -> Labels:
    """Return the matrices of lists of class names or numbers; without class names, those that occur are the classes."""
    lists = {part: labels for part, labels in given.items() if isinstance(labels, list)}
    seen = {one for labels in lists.values() for image in labels for one in image}
    has_texts = any(isinstance(one, str) for one in seen)
    if names is not None:
        classes = tuple(names)
    elif not seen:
        raise DataError(f"{reference}: no image has a label; return the class names too: (train, test, classes)")
    elif has_texts:
        classes = tuple(sorted(str(one) for one in seen))
    else:
        classes = tuple(map(str, range(1 + max(int(one) for one in seen))))
    place = {name: number for number, name in enumerate(classes)} if has_texts else None
    return Labels({part: _matrix(f"{reference}: {part}", one, classes, place) for part, one in lists.items()}, classes)


def _matrix(where: str, labels: list[Names], classes: Sequence[str], place: Mapping[str, int] | None) -> Tensor:
    matrix = torch.zeros(len(labels), len(classes), dtype=torch.uint8)
    rows, columns = [], []
    for row, image in enumerate(labels):
        for one in image:
            number = int(one) if place is None else place.get(str(one), -1)
            if not 0 <= number < len(classes):
                raise _unknown(f"{where}: labels[{row}]", one, classes, is_name=place is not None)
            rows.append(row)
            columns.append(number)
    matrix[rows, columns] = 1
    return matrix


def _unknown(where: str, found: str | float, classes: Sequence[str], *, is_name: bool) -> DataError:
    if not is_name:
        return DataError(f"{where} has the class number {found}, but must have numbers in 0 to {len(classes) - 1}")
    nearest = nearest_name(str(found), classes)
    more = f" and {len(classes) - _MOST_NAMES:,} more" if len(classes) > _MOST_NAMES else ""
    allowed = f"allowed are {', '.join(map(safe_text, classes[:_MOST_NAMES]))}{more}"
    return DataError(
        f"{where} has the unknown class '{safe_text(found)}'; "
        + (f"did you mean '{safe_text(nearest)}'?" if nearest else allowed)
    )


def describe_labels(labels: Tensor, classes: Sequence[str]) -> tuple[str, ...]:
    """Return facts that show whether labels (N, classes) are as intended."""
    of_images = labels.sum(1, dtype=torch.int64)
    low, high, mean = int(of_images.min()), int(of_images.max()), float(of_images.double().mean())
    without = int((of_images == 0).sum())
    notes = [f"{low} to {high} labels an image, {mean:.2f} on average; {count_text(without, 'image')} without any"]
    if low == high:
        notes = [f"{count_text(low, 'label')} for every image"]
    if low == high == 1:
        notes.append("to learn them as classes, put the images into class folders, or give one number for each")
    counted = count_labels(labels, classes)
    everywhere = [name for name, count in zip(counted.classes, counted.counts, strict=True) if count == counted.images]
    for kind, found in (("no image has", counted.missing), ("every image has", everywhere)):
        if found:
            more = f" and {len(found) - _MOST_NAMES:,} more" if len(found) > _MOST_NAMES else ""
            notes.append(f"{kind} the label {', '.join(map(safe_text, found[:_MOST_NAMES]))}{more}: nothing to learn")
    return tuple(notes)
