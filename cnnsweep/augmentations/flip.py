"""Mirroring left to right."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from cnnsweep.augmentations.base import Draw, Move

if TYPE_CHECKING:
    from torch import Tensor


class Flip(Move, name="flip"):
    """Mirror left to right, with probability 1/2."""

    stays_inside: ClassVar[bool] = True

    def source(self, rows: Tensor, columns: Tensor, size: tuple[int, int], draws: Draw) -> tuple[Tensor, Tensor]:
        """Return the columns from right to left, in every second image."""
        return rows, columns.where(draws(1) >= 0.5, size[1] - 1 - columns)  # (N, W)
