"""Reader of IDX files, the format of MNIST and its relatives, with every field checked.

The format, from LeCun's page on MNIST: two zero bytes, a type, the number of dimensions, each dimension as a big-endian
32-bit number, then the values. torchvision only checks that the files exist.
"""

import hashlib
import os
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cnnsweep.datasets.checksums import Checksum
from cnnsweep.errors import DataError

_TYPES = {0x08: "u1", 0x0C: ">i4"}
_UBYTE, _INT = _TYPES


def read_idx_images(path: Path, height: int, width: int, checksum: Checksum | None = None) -> Tensor:
    """Return the images of an IDX file as uint8 (N, 1, height, width).

    Args:
        checksum: the required checksum of the content, if known.

    Raises:
        DataError: the file is missing, damaged, or of another size.
    """
    values = _read(path, _UBYTE, 3, checksum)
    if values.shape[1:] != (height, width):
        raise _damaged(path, f"images of {height}×{width}", f"{values.shape[1]}×{values.shape[2]} in its header")
    return torch.from_numpy(values)[:, None]


def read_idx_labels(path: Path, count: int, classes: range, checksum: Checksum | None = None) -> Tensor:
    """Return the labels of an IDX file as int64 (N,), counted from the first class.

    Args:
        count: number of images.
        classes: the allowed values; the first becomes label 0.
        checksum: the required checksum of the content, if known.
    """
    with_details = path.name.endswith("-idx2-int")  # QMNIST: eight numbers per image, the first is the class
    values = _read(path, _INT, 2, checksum)[:, 0] if with_details else _read(path, _UBYTE, 1, checksum)
    if len(values) != count:
        raise _damaged(path, f"{count} labels, as many as there are images", f"{len(values)}")
    outside = (values < classes.start) | (values >= classes.stop)
    if outside.any():
        where = int(outside.argmax())
        raise _damaged(path, f"labels from {classes.start} to {classes.stop - 1}", f"{values[where]} for image {where}")
    return torch.from_numpy(values.astype(np.int64) - classes.start)


def _read(path: Path, code: int, dimensions: int, checksum: Checksum | None) -> npt.NDArray[np.integer]:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            header_bytes = 4 + 4 * dimensions
            header = file.read(header_bytes)
            magic = bytes([0, 0, code, dimensions])
            if header[:4] != magic:
                raise _damaged(path, f"a file that begins with {magic.hex(' ')}", header[:4].hex(" ") or "nothing")
            if len(header) < header_bytes:
                raise _damaged(path, f"at least {header_bytes} bytes", f"{size}")
            shape = np.frombuffer(header[4:], ">u4").tolist()
            described = "×".join(map(str, shape))
            if prod(shape) == 0:
                raise _damaged(path, "values", f"{described} in its header")
            kind = np.dtype(_TYPES[code])
            expected = header_bytes + prod(shape) * kind.itemsize
            if size != expected:
                raise _damaged(path, f"{expected:,} bytes, as its header says ({described})", f"{size:,}")
            values: npt.NDArray[np.integer] = np.fromfile(file, kind).reshape(shape)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if checksum is not None:
        content = hashlib.sha256(header)
        content.update(values.view(np.uint8).data)
        if content.hexdigest() != checksum.sha256:
            expected_content = f"the SHA-256 {checksum.sha256} ({checksum.source})"
            raise _damaged(path, expected_content, content.hexdigest())
    return values


def _damaged(path: Path, expected: str, found: str) -> DataError:
    return DataError(
        f"{path}: damaged: expected {expected}, found {found}; "
        "delete it and run again to download it, or copy it again from where it came"
    )
