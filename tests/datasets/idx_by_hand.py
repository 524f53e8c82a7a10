"""IDX files written byte by byte, for tests that read them."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def write_idx(path: Path, values: np.ndarray, kind: int = 0x08) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, kind, values.ndim, *values.shape)
    path.write_bytes(header + values.astype({0x08: ">u1", 0x0C: ">i4"}[kind]).tobytes())


def write_mnist_like(
    root: Path, folder: str, sizes: tuple[int, int] = (20, 10), classes: Sequence[int] = range(10)
) -> None:
    """Write random images and labels that take turns, as four files below `root`."""
    rng = np.random.default_rng(0)
    for part, count in zip(("train", "t10k"), sizes, strict=True):
        images = rng.integers(0, 256, (count, 28, 28))
        labels = np.resize(np.array(classes), count)
        write_idx(root / folder / "raw" / f"{part}-images-idx3-ubyte", images)
        write_idx(root / folder / "raw" / f"{part}-labels-idx1-ubyte", labels)
