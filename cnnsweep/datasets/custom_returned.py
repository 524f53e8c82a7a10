"""Parts of a custom data set in the return value of its function: training, test, class names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from cnnsweep.datasets.custom_values import is_array, kind_of
from cnnsweep.errors import DataError
from cnnsweep.formatting.escape import safe_text

RETURNS = (
    "(train, test), (train, test, classes) or a mapping with these keys, where train and test are (images, labels) "
    "or a torch Dataset, and test may be None"
)
_PAIRS = (
    "`return (images, labels), None`, or with images to test on `return (images, labels), (test_images, test_labels)`"
)


def take_apart(reference: str, returned: Any) -> tuple[Any, Any, Any]:
    """Return train, test and classes from the return value."""
    if isinstance(returned, Mapping) and "train" in returned and set(returned) <= {"train", "test", "classes"}:
        return returned["train"], returned.get("test"), returned.get("classes")
    if isinstance(returned, tuple | list) and len(returned) in (2, 3) and not _is_pair(returned[:2]):
        train, test, classes = (*returned, None)[:3]
        if _is_part(classes):
            raise DataError(
                f"{reference}: returned {kind_of(returned)}, of which the third is {kind_of(classes)} instead of class "
                "names; return (train, test) or (train, test, classes): images for validation are split off from train"
            )
        return train, test, classes
    found = f"a mapping with {', '.join(map(str, returned))}" if isinstance(returned, Mapping) else kind_of(returned)
    raise DataError(f"{reference}: returned {found}; expected {RETURNS}{_hint(returned)}")


def _hint(returned: Any) -> str:
    """Return a suggestion if the intention can be guessed, else nothing."""
    if isinstance(returned, tuple | list) and len(returned) >= 2 and all(map(_is_array_like, returned[:2])):
        if len(returned) <= 3:
            return f". This looks like (images, labels): write {_PAIRS}"
        return ". Put images and labels into a pair each: `return (x_train, y_train), (x_test, y_test)`"
    if isinstance(returned, Mapping) and "train" in returned:
        return ". Images for validation are split off from train"
    return ". To train on all of it, write `return data, None`" if _is_part(returned) else ""


def _is_pair(values: Sequence[Any]) -> bool:
    """True for (images, labels) in place of (train, test): arrays are not parts."""
    return all(map(_is_array_like, values))


def _is_array_like(value: Any) -> bool:
    """True for images or labels: arrays, and lists of numbers, texts, arrays or PIL images."""
    if isinstance(value, list):
        elements = int | float | str | Image.Image | np.generic | np.ndarray | Tensor | set | frozenset  # type: ignore[type-arg]
        return bool(value) and (isinstance(value[0], elements) or all(map(_are_labels, value)))
    return is_array(value)


def _are_labels(value: Any) -> bool:
    """True for a list of the labels of one image."""
    return isinstance(value, list | tuple) and all(isinstance(one, int | float | str) for one in value)


def _is_part(value: Any) -> bool:
    """True for (images, labels), or for an object with items other than a list of names."""
    if isinstance(value, tuple | list):
        return len(value) == 2 and is_array(value[0])
    is_plain = isinstance(value, str | Mapping) or is_array(value)
    return not is_plain and hasattr(value, "__getitem__") and hasattr(value, "__len__")


def is_item(value: Any) -> bool:
    """True for (image, label); a list of two such pairs is not (images, labels)."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    image, label = value
    is_label = isinstance(label, int | np.integer | list | tuple | set | frozenset) or (
        is_array(label) and label.ndim <= 1
    )
    return is_label and (isinstance(image, Image.Image) or (is_array(image) and image.ndim in (2, 3)))


def part_hint(part: Any) -> str:
    """Return a suggestion for a value that is not a part, if the intention can be guessed, else nothing."""
    if type(part).__name__ == "DataLoader":
        return "; give the loader's dataset: `loader.dataset`"
    if hasattr(part, "__iter__") and not hasattr(part, "__len__"):
        return "; make a list of its items: `list(...)`"
    return ""


def class_names(reference: str, given: Any) -> tuple[str, ...] | None:
    """Return the classes' names; None if there are none.

    Args:
        given: names in the order of the labels, a mapping from names to labels, or None.

    Raises:
        DataError: it has another type, or contains a name twice.
    """
    if isinstance(given, Mapping) and set(given.values()) == set(range(len(given))):
        return tuple(str(name) for name in sorted(given, key=lambda name: given[name]))
    if given is None:
        return None
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise DataError(f"{reference}: classes: is {kind_of(given)}; expected the classes' names, in their order")
    names = tuple(map(str, given))
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{reference}: classes: {safe_text(twice[0])} is there twice; expected each name once")
    return names
