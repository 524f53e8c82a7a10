"""Random crops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cnnsweep.augmentations.base import Draw, Move, whole
from cnnsweep.field_types import Whole

if TYPE_CHECKING:
    from torch import Tensor


class Crop(Move, name="crop"):
    """Pad by zeros and cut the original size at a random position."""

    padding: Annotated[int, Whole(0, 1000)] = Field(
        default=4, description="pixels of padding before a random crop back to size; 0 is off"
    )

    @property
    def changes_nothing(self) -> bool:
        return self.padding == 0

    def source(self, rows: Tensor, columns: Tensor, size: tuple[int, int], draws: Draw) -> tuple[Tensor, Tensor]:
        """Return rows and columns, moved by up to the padding."""
        del size
        moves = whole(draws(2), 2 * self.padding + 1) - self.padding  # (N, 2): rows, columns
        return rows + moves[:, :1], columns + moves[:, 1:]
