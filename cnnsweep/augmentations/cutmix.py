"""CutMix (Yun et al., arXiv:1905.04899)."""

from __future__ import annotations

import math
from random import Random

from cnnsweep.augmentations.mix import DrawnMix, Mix


class CutMix(Mix, name="cutmix"):
    """Replace a rectangle of each image by that of another one of its batch; labels are shared by area."""

    def of_share(self, share: float, random: Random, size: tuple[int, int]) -> DrawnMix:
        """Return a rectangle with a random centre; a part of it may lie outside, which raises the share."""
        height, width = size
        row, column = int(random.random() * height), int(random.random() * width)
        half = math.sqrt(1 - share) / 2
        rows, columns = int(half * height), int(half * width)
        top, left = max(row - rows, 0), max(column - columns, 0)
        bottom, right = min(row + rows, height), min(column + columns, width)
        return DrawnMix(1 - (bottom - top) * (right - left) / (height * width), (top, left, bottom, right))
