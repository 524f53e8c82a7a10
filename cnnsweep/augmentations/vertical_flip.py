"""Mirroring upside down."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from cnnsweep.augmentations.base import Draw, Move, Probability

if TYPE_CHECKING:
    from torch import Tensor


class VerticalFlip(Move, name="vertical_flip"):
    """Mirror upside down, for pictures without an above, such as those of a microscope or a satellite."""

    is_flag: ClassVar[bool] = True
    stays_inside: ClassVar[bool] = True
    probability: Probability = Field(default=0.5, description="share of the images that are mirrored")

    @property
    def changes_nothing(self) -> bool:
        return self.probability == 0

    def source(self, rows: Tensor, columns: Tensor, size: tuple[int, int], draws: Draw) -> tuple[Tensor, Tensor]:
        """Return the rows from the lowest to the highest, in some of the images."""
        return rows.where(draws(1) >= self.probability, size[0] - 1 - rows), columns  # (N, H)
