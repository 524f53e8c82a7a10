"""RandAugment (Cubuk et al., arXiv:1909.13719)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cnnsweep.augmentations.base import Augmentation, Draw, Interpolation, whole
from cnnsweep.field_types import Whole

if TYPE_CHECKING:
    from torch import Tensor


class Rand(Augmentation, name="rand"):
    """RandAugment: some of fourteen operations one after the other, with one magnitude for all."""

    magnitude: Annotated[int, Whole(0, 30)] = Field(default=9, description="strength of the operations, from 0 to 30")
    operations: Annotated[int, Whole(0, 20)] = Field(default=2, description="number of operations; 0 is off")
    interpolation: Interpolation = Field(default="nearest", description="nearest or bilinear")

    @property
    def changes_nothing(self) -> bool:
        return self.operations == 0

    def apply(self, images: Tensor, draws: Draw) -> Tensor:
        """Return the images after their operations."""
        from cnnsweep.augmentations.operations import NAMES, Strengths, transformed

        height, width = images.shape[2:]
        share = 150 / 331  # of the paper's images of ImageNet
        strengths = Strengths(shear=0.3, translate=(share * height, share * width), rotate=30, factor=0.9, bits=4)
        drawn = draws(2 * self.operations).view(len(images), self.operations, 2)  # (N, operations, 2)
        for kind_and_sign in drawn.unbind(1):
            operations = whole(kind_and_sign[:, 0], len(NAMES))
            magnitudes = operations.new_full(operations.shape, self.magnitude)
            images = transformed(
                images, (operations, magnitudes, whole(kind_and_sign[:, 1], 2)), strengths, self.interpolation
            )
        return images
