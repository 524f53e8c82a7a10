"""Custom data sets: the return value of a user's function, as uint8 images in memory.

The function returns one of

    (train, test)            (train, test, classes)
    {"train": train, "test": test, "classes": classes}       without `test` or `classes` if there are none

where `train` and `test` are each one of

    (images, labels)         arrays or tensors, or a list of images; labels are N whole numbers from 0, or one-hot;
                             several an image are (N, classes) of 0 and 1, or a list of names or numbers for each
    a torch Dataset          or another object with a length, whose items are (image, label)

`test` may be None, and `classes` are names, or a mapping from names to labels. Images are uint8 from 0 to 255 or floats
from 0 to 1. Their shape is (N, H, W), (N, H, W, C) or (N, C, H, W), with C from 1 to 4; in a list or Dataset, they may
be PIL images. All have one size. A Dataset is read once, in its order: random changes of images belong in `augment`.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from cnnsweep.datasets.base import Loading
from cnnsweep.datasets.custom_labels import LABEL_BYTES, GivenLabels, Names, from_items, read_item, read_labels
from cnnsweep.datasets.custom_returned import RETURNS, class_names, is_item, part_hint, take_apart
from cnnsweep.datasets.custom_values import (
    is_array,
    kind_of,
    read_image,
    read_images,
    require_same_shape,
    shape_text,
)
from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.label_kinds import common_labels
from cnnsweep.datasets.memory import gigabytes
from cnnsweep.errors import DataError
from cnnsweep.formatting.numbers import count_text
from cnnsweep.plugins import load_object


def load_custom(
    reference: str, arguments: Mapping[str, Any], loading: Loading
) -> tuple[MemoryImages, MemoryImages | None, tuple[str, ...], tuple[str, ...]]:
    """Return the training part, the test part, the class names, and notes from a user's function.

    Args:
        reference: `package.module:function` or `path/to/file.py:function`.
        arguments: keyword arguments of the function.

    Raises:
        UsageError: the function does not exist.
        DataError: it raised, or its return value is not a data set.
    """
    function = load_object(reference)
    if not callable(function):
        raise DataError(f"{reference}: is not a function but {kind_of(function)}; it must return {RETURNS}")
    with _user_code(reference):
        returned = function(**arguments)
    train, test, classes = take_apart(reference, returned)
    reader = _Reader(reference, loading)
    parts = {"train": reader.part("train", train)}
    if test is not None:
        parts["test"] = reader.part("test", test)
    shapes = {name: tuple(images.shape[1:]) for name, (images, _) in parts.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(
            f"{reference}: test images are {shape_text(shapes['test'])}, but training images "
            f"{shape_text(shapes['train'])} (channels×height×width); both must be equal"
        )
    names = class_names(reference, classes if classes is not None else getattr(train, "classes", None))
    labels = common_labels(reference, {name: given for name, (_, given) in parts.items()}, names)
    found = {name: MemoryImages(images, labels.parts[name]) for name, (images, _) in parts.items()}
    return found["train"], found.get("test"), labels.classes, labels.notes


class _Reader:
    """Reader of the parts into images in memory, within a limit of bytes."""

    def __init__(self, reference: str, loading: Loading) -> None:
        self._reference = reference
        self._memory_bytes = loading.memory_bytes
        self._progress = loading.progress

    def part(self, name: str, part: Any) -> tuple[Tensor, GivenLabels]:
        where = f"{self._reference}: {name}"
        if isinstance(part, tuple | list) and len(part) == 2 and not all(map(is_item, part)):
            images, labels = (
                read_images(where, part[0], self._check_memory),
                read_labels(where, part[1], self._check_memory),
            )
        elif hasattr(part, "__getitem__") and hasattr(part, "__len__") and not is_array(part):
            images, labels = self._read_items(where, part)
        else:
            raise DataError(
                f"{where}: is {kind_of(part)}; expected (images, labels) or a torch Dataset with a length"
                + part_hint(part)
            )
        if len(images) != len(labels) or len(labels) == 0:
            counts = f"{count_text(len(images), 'image')} and {count_text(len(labels), 'label')}"
            raise DataError(f"{where}: {counts}; expected equal numbers, at least 1")
        return images, labels

    def _read_items(self, where: str, items: Any) -> tuple[Tensor, GivenLabels]:
        """Read a map-style data set one item after the other."""
        with _user_code(where):
            count = len(items)
        self._check_memory(where, count * LABEL_BYTES)
        images = torch.empty(0)
        labels: list[int | Names] = []
        for position in range(count):
            with _user_code(f"{where}: item {position}"):
                item = items[position]
            if not isinstance(item, Sequence) or len(item) != 2:
                raise DataError(f"{where}: item {position} is {kind_of(item)}; expected (image, label)")
            image = read_image(f"{where}: item {position}", item[0])
            if position == 0:
                self._check_memory(where, count * image.nbytes)
                images = torch.empty((count, *image.shape), dtype=torch.uint8)
            require_same_shape(where, position, image, images[0])
            images[position] = image
            labels.append(read_item(f"{where}: item {position}", item[1]))
            if (position + 1) % 512 == 0 or position + 1 == count:
                self._progress(f"reading {where}", position + 1, count)
        return images, from_items(where, labels)

    def _check_memory(self, where: str, needed: int) -> None:
        if needed > self._memory_bytes:
            raise DataError(
                f"{where}: the images need {gigabytes(needed)} as uint8, but {gigabytes(self._memory_bytes)} of memory "
                "may be used; make them smaller, or store them as files: `image_folder` streams images that do not fit"
            )


@contextmanager
def _user_code(where: str) -> Iterator[None]:
    """Convert exceptions of user code to a DataError of one line, with the position of the error."""
    try:
        yield
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())
        cause = f"{type(error).__name__}{': ' if text else ''}{text}"
        raise DataError(f"{where}: raised {cause} ({last.filename}:{last.lineno})") from error
