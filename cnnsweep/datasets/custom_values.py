"""Conversion of arrays, tensors and PIL images to uint8 images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cnnsweep.errors import DataError

_IMAGES = "uint8 from 0 to 255 or floats from 0 to 1, of shape (N, H, W), (N, H, W, C) or (N, C, H, W)"
_CHANNELS = range(1, 5)
_PIECE_IMAGES = 256


def read_images(where: str, images: Any, check_memory: Callable[[str, int], None] | None = None) -> Tensor:
    """Return images as contiguous uint8 (N, C, H, W).

    Args:
        check_memory: called with the required bytes before the copy; an array may be a view that claims to be larger
            than its memory.
    """
    if (
        isinstance(images, list | tuple)
        and images
        and all(isinstance(one, Image.Image) or is_array(one) for one in images)
    ):
        return _stacked(where, images, check_memory)
    if not is_array(images):
        raise DataError(f"{where}: the images are {kind_of(images)}; expected an array or tensor, {_IMAGES}")
    if check_memory is not None:
        check_memory(where, prod(images.shape) * (images.dtype.itemsize if _must_be_copied(images) else 1))
    pixels = as_tensor(images)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.ndim == 4 and pixels.shape[1] not in _CHANNELS and pixels.shape[3] in _CHANNELS:
        pixels = pixels.permute(0, 3, 1, 2)
    if pixels.ndim != 4 or pixels.shape[1] not in _CHANNELS or 0 in pixels.shape[2:]:
        raise DataError(f"{where}: the images are {kind_of(images)}; expected {_IMAGES}, C from 1 to 4")
    if pixels.is_floating_point():
        low, high = (float(pixels.min()), float(pixels.max())) if pixels.numel() else (0.0, 1.0)
        if not (low >= 0 and high <= 1):  # True also for NaN
            hint = "; do not normalise here: `normalize` of the sweep file does it" if low < 0 else ""
            hint = "; write images.astype('uint8'), or divide by 255" if low >= 0 and 1 < high <= 255 else hint
            raise DataError(f"{where}: the images' floats go from {low:g} to {high:g}; expected 0 to 1, or uint8{hint}")
        pixels = _rounded(pixels)
    if pixels.dtype != torch.uint8:
        raise DataError(f"{where}: the images are {kind_of(images)}; expected {_IMAGES}")
    return pixels.contiguous()


def read_image(where: str, image: Any) -> Tensor:
    """Return an image as uint8 (C, H, W)."""
    if isinstance(image, Image.Image):
        image = np.array(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    if not is_array(image):
        raise DataError(f"{where}: the image is {kind_of(image)}; expected a PIL image, an array or a tensor")
    return read_images(where, image[None])[0]


def _stacked(where: str, images: Sequence[Any], check_memory: Callable[[str, int], None] | None) -> Tensor:
    """Return a list of images, each a PIL image or an array, as uint8 (N, C, H, W)."""
    first = read_image(f"{where}: image 0", images[0])
    if check_memory is not None:
        check_memory(where, len(images) * first.nbytes)
    stacked = torch.empty((len(images), *first.shape), dtype=torch.uint8)
    for place, one in enumerate(images):
        image = read_image(f"{where}: image {place}", one)
        require_same_shape(where, place, image, first)
        stacked[place] = image
    return stacked


def require_same_shape(where: str, place: int, image: Tensor, first: Tensor) -> None:
    """Raise if the shape (C, H, W) of an image differs from the first of its part."""
    if image.shape != first.shape:
        raise DataError(
            f"{where}: image {place} is {shape_text(image.shape)}, but image 0 {shape_text(first.shape)} "
            "(channels×height×width); all must be equal"
        )


def as_tensor(values: Any) -> Tensor:
    """Return an array or tensor as a tensor on the CPU, sharing memory if that is safe."""
    if _must_be_copied(values):
        values = values.astype(values.dtype.newbyteorder("="))
    return torch.as_tensor(values).detach().cpu()


def _must_be_copied(values: Any) -> bool:
    return isinstance(values, np.ndarray) and not (values.flags.writeable and values.dtype.isnative)


def _rounded(pixels: Tensor) -> Tensor:
    """Return floats from 0 to 1 as bytes; piece by piece, which avoids two copies of all floats."""
    rounded = torch.empty(pixels.shape, dtype=torch.uint8)
    for start in range(0, len(pixels), _PIECE_IMAGES):
        piece = slice(start, start + _PIECE_IMAGES)
        rounded[piece] = (pixels[piece] * 255).round()
    return rounded


def is_array(value: Any) -> bool:
    """True for NumPy's arrays and torch's tensors."""
    return isinstance(value, np.ndarray | Tensor)


def kind_of(value: Any) -> str:
    """Return a description of a value, for messages."""
    if is_array(value):
        kind = "tensor" if isinstance(value, Tensor) else "array"
        return f"a {str(value.dtype).removeprefix('torch.')} {kind} of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"of type {type(value).__name__}"


def shape_text(shape: Sequence[int]) -> str:
    """Return `3×32×32`."""
    return "×".join(map(str, shape))
