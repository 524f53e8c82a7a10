"""Cutout (DeVries and Taylor, arXiv:1708.04552)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cnnsweep.augmentations.base import Augmentation, Draw, whole
from cnnsweep.field_types import Whole

if TYPE_CHECKING:
    from torch import Tensor


class Cutout(Augmentation, name="cutout"):
    """Blank a square with a random centre; a part of it may lie outside.

    The paper blanks to 0 after normalisation; here the pixel value is 0 before, and an odd side stays odd.
    """

    side: Annotated[int, Whole(0, 1000)] = Field(
        default=8, description="side of a random square that is blanked, in pixels; 0 is off"
    )

    @property
    def changes_nothing(self) -> bool:
        return self.side == 0

    def apply(self, images: Tensor, draws: Draw) -> Tensor:
        """Return the images with a square set to 0."""
        import torch

        count, channels, height, width = images.shape
        centres = draws(2)
        inside = torch.arange(self.side, device=images.device) - self.side // 2
        # The centre is in the image, so pixels outside can be clamped to the nearest pixel of the square inside.
        rows = (whole(centres[:, :1], height) + inside).clamp(0, height - 1)  # (N, side)
        columns = (whole(centres[:, 1:], width) + inside).clamp(0, width - 1)
        square = (rows[:, :, None] * width + columns[:, None]).view(count, 1, -1).expand(-1, channels, -1)
        return images.view(count, channels, -1).scatter_(2, square, 0).view(images.shape)
