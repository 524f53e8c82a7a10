"""Mirroring left to right."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from cnnsweep.augmentations.base import Draw, Move, Probability

if TYPE_CHECKING:
    from torch import Tensor


class Flip(Move, name="flip"):
    """Mirror left to right."""

    is_flag: ClassVar[bool] = True
    stays_inside: ClassVar[bool] = True
    probability: Probability = Field(default=0.5, description="share of the images that are mirrored")

    @property
    def changes_nothing(self) -> bool:
        return self.probability == 0

    def source(self, rows: Tensor, columns: Tensor, size: tuple[int, int], draws: Draw) -> tuple[Tensor, Tensor]:
        """Return the columns from right to left, in some of the images."""
        return rows, columns.where(draws(1) >= self.probability, size[1] - 1 - columns)  # (N, W)
