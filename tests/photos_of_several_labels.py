"""A data set with several labels an image, for tests: a bright bar for each label, of which the last is rare."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

NAMES = ("cat", "dog", "elk")
Part = tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]


def load(train: int = 90, test: int = 60) -> tuple[Part, Part | None, tuple[str, ...]]:
    """Return training and test part and the names; `test: 0` is no test part."""
    return _part(train, 0), _part(test, 1) if test else None, NAMES


def _part(count: int, seed: int) -> Part:
    random = np.random.default_rng(seed)
    rows = random.random((count, 3)) < (0.5, 0.3, 0.1)
    images = random.integers(0, 150, (count, 12, 12, 3), dtype=np.uint8)
    for place in range(3):
        images[rows[:, place], 1 + 4 * place : 4 + 4 * place, 2:10, place] = 220
    return images, rows
