"""A person's own data set: what their function returns, as uint8 images in memory."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cnnsweep.data.images import MemoryImages
from cnnsweep.data.memory import gigabytes
from cnnsweep.display.figures import count_text
from cnnsweep.errors import DataError
from cnnsweep.user_code import load_object

Progress = Callable[[str, int, int], None]

_RETURNS = (
    "(train, test), (train, test, classes) or a mapping with these keys, where train and test are (images, labels) "
    "or a torch Dataset, and test may be None"
)
_IMAGES = "uint8 from 0 to 255 or floats from 0 to 1, of shape (N, H, W), (N, H, W, C) or (N, C, H, W)"
_CHANNELS = range(1, 5)
_LABEL_BYTES = 8
_PIECE_IMAGES = 256
_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def load_own(
    reference: str, arguments: Mapping[str, Any], memory_bytes: int, progress: Progress
) -> tuple[MemoryImages, MemoryImages | None, tuple[str, ...]]:
    """Return training part, test part and class names from a person's function.

    Args:
        reference: `package.module:function` or `path/to/file.py:function`.
        arguments: what the function is called with, by name.
        memory_bytes: the most that the images may take.

    Raises:
        UsageError: there is no such function.
        DataError: it raised, or returned something that is no data set; the message says what.
    """
    function = load_object(reference)
    if not callable(function):
        raise DataError(f"{reference}: is no function but {_kind(function)}; it must return {_RETURNS}")
    with _persons_code(reference):
        returned = function(**arguments)
    train, test, classes = _take_apart(reference, returned)
    reader = _Reader(reference, memory_bytes, progress)
    train_images = reader.part("train", train)
    test_images = None if test is None else reader.part("test", test)
    if test_images is not None and test_images.image_shape != train_images.image_shape:
        raise DataError(
            f"{reference}: test images are {_shape(test_images.image_shape)}, but training images "
            f"{_shape(train_images.image_shape)} (channels×height×width); both must be equal"
        )
    names = _class_names(classes if classes is not None else getattr(train, "classes", None), train_images, test_images)
    for name, part in (("train", train_images), ("test", test_images)):
        if part is not None and not 0 <= int(part.labels.min()) <= int(part.labels.max()) < len(names):
            found = f"{int(part.labels.min())} to {int(part.labels.max())}"
            raise DataError(f"{reference}: {name}: labels go from {found}, but must lie in 0 to {len(names) - 1}")
    return train_images, test_images, names


def _take_apart(reference: str, returned: Any) -> tuple[Any, Any, Any]:
    """Return train, test and classes of what the function returned."""
    if isinstance(returned, Mapping) and "train" in returned and set(returned) <= {"train", "test", "classes"}:
        return returned["train"], returned.get("test"), returned.get("classes")
    if isinstance(returned, Sequence) and not isinstance(returned, str) and len(returned) in (2, 3):
        train, test, classes = (*returned, None)[:3]
        return train, test, classes
    found = f"a mapping with {', '.join(map(str, returned))}" if isinstance(returned, Mapping) else _kind(returned)
    raise DataError(f"{reference}: returned {found}; expected {_RETURNS}")


class _Reader:
    """Turns one part after the other into images in memory, within a bound on their bytes."""

    def __init__(self, reference: str, memory_bytes: int, progress: Progress) -> None:
        self._reference = reference
        self._memory_bytes = memory_bytes
        self._progress = progress

    def part(self, name: str, part: Any) -> MemoryImages:
        where = f"{self._reference}: {name}"
        if isinstance(part, Sequence) and len(part) == 2:
            images, labels = _images(where, part[0], self._check_memory), _labels(where, part[1], self._check_memory)
        elif hasattr(part, "__getitem__") and hasattr(part, "__len__") and not _is_array(part):
            images, labels = self._read_items(where, part)
        else:
            raise DataError(f"{where}: is {_kind(part)}; expected (images, labels) or a torch Dataset with a length")
        if len(images) != len(labels) or len(labels) == 0:
            counts = f"{count_text(len(images), 'image')} and {count_text(len(labels), 'label')}"
            raise DataError(f"{where}: {counts}; expected as many, and at least 1")
        return MemoryImages(images, labels)

    def _read_items(self, where: str, items: Any) -> tuple[Tensor, Tensor]:
        """Read a map-style data set one item after the other."""
        count = len(items)
        self._check_memory(where, count * _LABEL_BYTES)
        images, labels = torch.empty(0), torch.empty(count, dtype=torch.int64)
        for position in range(count):
            with _persons_code(f"{where}: item {position}"):
                item = items[position]
            if not isinstance(item, Sequence) or len(item) != 2:
                raise DataError(f"{where}: item {position} is {_kind(item)}; expected (image, label)")
            image = _one_image(f"{where}: item {position}", item[0])
            if position == 0:
                self._check_memory(where, count * image.nbytes)
                images = torch.empty((count, *image.shape), dtype=torch.uint8)
            if image.shape != images.shape[1:]:
                raise DataError(
                    f"{where}: image {position} is {_shape(image.shape)}, but image 0 {_shape(images.shape[1:])} "
                    "(channels×height×width); all must be equal"
                )
            images[position] = image
            labels[position] = int(item[1])
            if (position + 1) % 512 == 0 or position + 1 == count:
                self._progress(f"reading {where}", position + 1, count)
        return images, labels

    def _check_memory(self, where: str, needed: int) -> None:
        if needed > self._memory_bytes:
            raise DataError(
                f"{where}: the images need {gigabytes(needed)} as uint8, but {gigabytes(self._memory_bytes)} of memory "
                "may be used; make them smaller, or store them as files: `image_folder` streams what does not fit"
            )


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | Tensor)


def _one_image(where: str, image: Any) -> Tensor:
    """Return an image as uint8 (C, H, W)."""
    if isinstance(image, Image.Image):
        image = np.array(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    if not _is_array(image):
        raise DataError(f"{where}: the image is {_kind(image)}; expected a PIL image, an array or a tensor")
    return _images(where, image[None])[0]


def _images(where: str, images: Any, check_memory: Callable[[str, int], None] | None = None) -> Tensor:
    """Return images as contiguous uint8 (N, C, H, W).

    Args:
        check_memory: called with the bytes that they will take before they are copied; an array may be a view that
            says to be larger than the memory it lies in.
    """
    if not _is_array(images):
        raise DataError(f"{where}: the images are {_kind(images)}; expected an array or tensor, {_IMAGES}")
    if check_memory is not None:
        check_memory(where, prod(images.shape) * (images.dtype.itemsize if _must_be_copied(images) else 1))
    pixels = _tensor(images)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.ndim == 4 and pixels.shape[1] not in _CHANNELS and pixels.shape[3] in _CHANNELS:
        pixels = pixels.permute(0, 3, 1, 2)
    if pixels.ndim != 4 or pixels.shape[1] not in _CHANNELS or 0 in pixels.shape[2:]:
        raise DataError(f"{where}: the images are {_kind(images)}; expected {_IMAGES}, C from 1 to 4")
    if pixels.is_floating_point():
        low, high = (float(pixels.min()), float(pixels.max())) if pixels.numel() else (0.0, 1.0)
        if not (low >= 0 and high <= 1):  # also when one is NaN
            raise DataError(f"{where}: the images' floats go from {low:g} to {high:g}; expected 0 to 1, or uint8")
        pixels = _rounded(pixels)
    if pixels.dtype != torch.uint8:
        raise DataError(f"{where}: the images are {_kind(images)}; expected {_IMAGES}")
    return pixels.contiguous()


def _labels(where: str, labels: Any, check_memory: Callable[[str, int], None]) -> Tensor:
    """Return labels as int64 (N,)."""
    if _is_array(labels):
        check_memory(where, prod(labels.shape) * _LABEL_BYTES)
    values = labels if isinstance(labels, Tensor) else np.asarray(labels)
    is_whole = values.dtype.kind in "iu" if isinstance(values, np.ndarray) else values.dtype in _WHOLE
    if values.ndim != 1 or not is_whole:
        raise DataError(f"{where}: the labels are {_kind(values)}; expected N whole numbers from 0")
    return _tensor(values).to(torch.int64)


def _tensor(values: Any) -> Tensor:
    """Return an array or tensor as a tensor on the CPU, sharing memory where that is safe."""
    if _must_be_copied(values):
        values = values.astype(values.dtype.newbyteorder("="))
    return torch.as_tensor(values).detach().cpu()


def _must_be_copied(values: Any) -> bool:
    return isinstance(values, np.ndarray) and not (values.flags.writeable and values.dtype.isnative)


def _rounded(pixels: Tensor) -> Tensor:
    """Return floats from 0 to 1 as bytes; piece by piece, or there would be two more copies of the floats."""
    rounded = torch.empty(pixels.shape, dtype=torch.uint8)
    for start in range(0, len(pixels), _PIECE_IMAGES):
        piece = slice(start, start + _PIECE_IMAGES)
        rounded[piece] = (pixels[piece] * 255).round()
    return rounded


def _class_names(given: Any, train: MemoryImages, test: MemoryImages | None) -> tuple[str, ...]:
    if given is not None:
        return tuple(map(str, given))
    highest = max(int(part.labels.max()) for part in (train, test) if part is not None)
    return tuple(map(str, range(highest + 1)))


def _kind(value: Any) -> str:
    """Return what a value is, for a message."""
    if _is_array(value):
        kind = "tensor" if isinstance(value, Tensor) else "array"
        return f"a {str(value.dtype).removeprefix('torch.')} {kind} of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"of type {type(value).__name__}"


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


@contextmanager
def _persons_code(where: str) -> Iterator[None]:
    """Turn what a person's code raises into one line: the exception, and the place that raised it."""
    try:
        yield
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())
        cause = f"{type(error).__name__}{': ' if text else ''}{text}"
        raise DataError(f"{where}: raised {cause} ({last.filename}:{last.lineno})") from error
