"""Rotation by a random angle."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cnnsweep.augmentations.base import Augmentation, Draw, Interpolation, Probability, whole
from cnnsweep.field_types import Number

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Angles are drawn from this number, so that sines and cosines come from a table: computed for a batch, their last digit
# would depend on the place in the batch.
ANGLES = 4096


class Rotate(Augmentation, name="rotate"):
    """Rotate about the middle by a random angle; corners from outside are 0."""

    degrees: Annotated[float, Number(least=0, most=180)] = Field(
        default=15.0, description="largest angle, in both directions; 0 is off"
    )
    probability: Probability = Field(default=1.0, description="share of the images that are rotated")
    interpolation: Interpolation = Field(default="nearest", description="nearest or bilinear")

    @property
    def changes_nothing(self) -> bool:
        return self.degrees == 0 or self.probability == 0

    def apply(self, images: Tensor, draws: Draw) -> Tensor:
        """Return the rotated images."""
        from cnnsweep.augmentations.batches import changed_where
        from cnnsweep.augmentations.warp import warped

        drawn = draws(2)
        matrices = _rotations(self.degrees, images.device)[whole(drawn[:, 1], ANGLES)]
        chosen = None if self.probability == 1 else drawn[:, 0] < self.probability
        return changed_where(chosen, images, lambda some, rows: warped(some, matrices[rows], self.interpolation))


@cache
def _rotations(degrees: float, device: torch.device) -> Tensor:
    """Return matrices (4096, 6) of angles from -degrees to degrees."""
    import torch

    from cnnsweep.augmentations.warp import rotation

    return torch.tensor([rotation(angle(degrees, number)) for number in range(ANGLES)], device=device)


def angle(degrees: float, number: int) -> float:
    """Return one of the angles, in degrees: the middle of one of equal parts of the range."""
    return degrees * (2 * (number + 0.5) / ANGLES - 1)
