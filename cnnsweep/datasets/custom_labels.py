"""Labels in the return value of a user's function: one an image, or several.

One label an image is N whole numbers, as N, N×1 or one-hot. Several are a matrix (N, classes) of 0 and 1, or a list for
each image with the names or numbers of its classes, which may be empty. Lists of one equal length, of two or more and
with 0 and 1 alone, are the rows of a matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cnnsweep.datasets.custom_values import as_tensor, is_array, kind_of
from cnnsweep.errors import DataError

Names = tuple[str | int | float, ...]  # labels of one image
GivenLabels = Tensor | list[Names]  # (N,) int64, (N, classes) uint8 of 0 and 1, or the labels of each image
LABEL_BYTES = 8
_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_ONE = "expected N whole numbers from 0"
_ROWS = "expected rows of 0 and 1, one column a class, or lists of class names or numbers"


def read_labels(where: str, labels: Any, check_memory: Callable[[str, int], None]) -> GivenLabels:
    """Return the labels of a part in one of three forms; one-hot rows are a matrix here.

    Args:
        check_memory: called with the required bytes before a copy.
    """
    if is_array(labels):
        check_memory(where, prod(labels.shape) * LABEL_BYTES)
    if _are_several(labels):
        return from_items(where, [read_several(f"{where}: labels[{place}]", one) for place, one in enumerate(labels)])
    values = labels if isinstance(labels, Tensor) else _array(where, labels)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    elif values.ndim == 2 and values.shape[1] > 1 and not _holds_texts(values):
        return _matrix(where, as_tensor(values))
    return read_whole(where, values)


def read_whole(where: str, labels: Any) -> Tensor:
    """Return one label for each image, whole numbers, as int64 (N,)."""
    values = labels if isinstance(labels, Tensor) else _array(where, labels)
    is_whole = values.dtype.kind in "iu" if isinstance(values, np.ndarray) else values.dtype in _WHOLE
    if values.ndim != 1 or not is_whole:
        hint = "; number the names, and return these as classes" if _holds_texts(values) else ""
        raise DataError(f"{where}: the labels are {kind_of(values)}; {_ONE}{hint}")
    return as_tensor(values).to(torch.int64)


def read_item(where: str, label: Any) -> int | Names:
    """Return the label of an item of a data set: a whole number, or its row or list of labels."""
    if _is_collection(label):
        return read_several(where, label)
    number = label.item() if is_array(label) and label.ndim == 0 else label
    if not isinstance(number, int | np.integer):
        raise DataError(f"{where}: the label is {kind_of(label)}; expected a whole number from 0, or a list of labels")
    return int(number)


def read_several(where: str, labels: Any) -> Names:
    """Return the labels of one image: a row of 0 and 1, or names or numbers."""
    if is_array(labels) and labels.ndim == 1:
        return tuple(labels.tolist())
    if not isinstance(labels, list | tuple | set | frozenset):
        raise DataError(f"{where} is {kind_of(labels)}; expected the labels of one image, as for the images before")
    found = tuple(one.item() if isinstance(one, np.generic | Tensor) and one.ndim == 0 else one for one in labels)
    if wrong := [one for one in found if not isinstance(one, str | int | float)]:
        raise DataError(f"{where} holds {kind_of(wrong[0])}; {_ROWS}")
    if len({isinstance(one, str) for one in found}) > 1:
        raise DataError(f"{where} holds both names and numbers; {_ROWS}")
    return found


def from_items(where: str, items: Sequence[int | Names]) -> GivenLabels:
    """Return the labels of a part from those of each image."""
    if (first := next((place for place, one in enumerate(items) if not isinstance(one, tuple)), None)) is not None:
        return _single(where, items, first)
    several = [one for one in items if isinstance(one, tuple)]
    lengths = {len(one) for one in several}
    numbers = {value for one in several for value in one if not isinstance(value, str)}
    has_texts = any(isinstance(value, str) for one in several for value in one)
    if has_texts and numbers:
        raise DataError(f"{where}: some labels are names, others numbers; {_ROWS}")
    if len(lengths) == 1 and not has_texts and numbers <= {0, 1} and max(lengths) > 1:
        return torch.tensor(several, dtype=torch.float64).to(torch.uint8)
    if lengths == {1} and all(type(number) is int for number in numbers) and not has_texts:
        return torch.tensor(several, dtype=torch.int64)[:, 0]
    _refuse_rows(where, several)
    return several


def _single(where: str, items: Sequence[int | Names], first: int) -> Tensor:
    for place, one in enumerate(items):
        if isinstance(one, tuple):
            raise DataError(
                f"{where}: item {place} has a list of labels, but item {first} the single label {items[first]}; "
                "expected one form for all images"
            )
    return torch.tensor(items, dtype=torch.int64)


def _refuse_rows(where: str, several: Sequence[Names]) -> None:
    """Raise for rows of 0 and 1 of unequal lengths, or of other values: they are no lists of class numbers."""
    for place, one in enumerate(several):
        fraction = next((value for value in one if isinstance(value, float | bool)), None)
        # A class is listed once, so that a repeated 0 or 1 belongs to a row.
        is_row = fraction is not None or (len(set(one)) < len(one) and set(one) <= {0, 1})
        if not is_row:
            continue
        other = next((k for k, row in enumerate(several) if len(row) != len(one)), None)
        if other is not None:
            a, b = sorted((place, other))
            raise DataError(
                f"{where}: labels[{b}] has {len(several[b])} values, but labels[{a}] has {len(several[a])}; rows of 0 "
                "and 1 have one column a class"
            )
        wrong = [(k, c, v) for k, row in enumerate(several) for c, v in enumerate(row) if v not in (0, 1)]
        raise _no_binary_value(where, *wrong[0]) if wrong else DataError(f"{where}: one column of 0 and 1; {_ONE}")


def _matrix(where: str, values: Tensor) -> Tensor:
    """Return a matrix (N, classes) of 0 and 1 as uint8."""
    is_wrong = ~((values == 0) | (values == 1))
    if bool(is_wrong.any()):
        row, column = is_wrong.nonzero()[0].tolist()
        raise _no_binary_value(where, row, column, values[row, column].item())
    return values.to(torch.uint8).contiguous()


def _no_binary_value(where: str, row: int, column: int, value: float | str) -> DataError:
    found = f"{value:g}" if isinstance(value, int | float) else repr(value)
    return DataError(
        f"{where}: labels[{row}, {column}] is {found}; expected 0 or 1, one column a class, or N whole numbers from 0"
    )


def _are_several(labels: Any) -> bool:
    """True for a list, or an array of objects, whose elements are the labels of one image each."""
    if isinstance(labels, np.ndarray) and (labels.dtype.kind == "O" or (labels.dtype.kind == "U" and labels.ndim == 2)):
        return bool(len(labels)) and (labels.ndim == 2 or _is_collection(labels[0]))
    return isinstance(labels, list | tuple) and bool(labels) and any(map(_is_collection, labels))


def _is_collection(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset) or (is_array(value) and value.ndim == 1)


def _array(where: str, values: Any) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:  # lists of unequal lengths
        raise DataError(f"{where}: the labels are {kind_of(values)}; {_ONE}") from error


def _holds_texts(values: Any) -> bool:
    return isinstance(values, np.ndarray) and values.dtype.kind in "UO"
