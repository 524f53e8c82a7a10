"""Identity of a data set by its content, in 64 hexadecimal digits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from cnnsweep.datasets.images import MemoryImages


@dataclass(frozen=True, slots=True)
class PartDigest:
    """One part of a data set: its shape (N, C, H, W), and the SHA-256 of its labels and of its images."""

    shape: tuple[int, int, int, int]
    labels: str
    images: str


def digest_labels(labels: Tensor) -> str:
    """Return the SHA-256 of labels: (N,) as little-endian 64-bit numbers, (N, classes) of 0 and 1 as bytes."""
    if labels.ndim > 1:
        return hashlib.sha256(labels.contiguous().numpy().data).hexdigest()
    return hashlib.sha256(np.ascontiguousarray(labels.numpy(), dtype="<i8").data).hexdigest()


def digest_images(images: npt.NDArray[np.uint8]) -> str:
    """Return the SHA-256 of images (N, C, H, W), contiguous."""
    return hashlib.sha256(images.data).hexdigest()


def digest_part(part: MemoryImages) -> PartDigest:
    """Return the digest of a part in memory."""
    return PartDigest((len(part), *part.image_shape), digest_labels(part.labels), digest_images(part.images.numpy()))


def fingerprint(parts: Sequence[PartDigest | None], classes: Sequence[str]) -> str:
    """Return the SHA-256 of shapes, labels and images of training and test part, and the class names.

    A validation part of the data set's own is a third part.

    A streamed data set has the same fingerprint as in memory.
    """
    described = [part and [part.shape, part.labels, part.images] for part in parts]
    return hashlib.sha256(json.dumps([list(classes), described]).encode()).hexdigest()
