"""TrivialAugment (Müller and Hutter, arXiv:2103.10158)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from cnnsweep.augmentations.base import Augmentation, Draw, Interpolation, Probability, whole

if TYPE_CHECKING:
    from torch import Tensor


class Trivial(Augmentation, name="trivial"):
    """TrivialAugment Wide: one of fourteen operations, with a random magnitude, for each image."""

    is_flag: ClassVar[bool] = True
    probability: Probability = Field(default=1.0, description="share of the images that are changed")
    interpolation: Interpolation = Field(default="nearest", description="nearest or bilinear")

    @property
    def changes_nothing(self) -> bool:
        return self.probability == 0

    def apply(self, images: Tensor, draws: Draw) -> Tensor:
        """Return the images after one operation each."""
        from cnnsweep.augmentations.operations import BINS, IDENTITY_NUMBER, NAMES, Strengths, transformed

        drawn = draws(4)
        operations = whole(drawn[:, 0], len(NAMES))
        if self.probability < 1:
            operations = operations.where(drawn[:, 3] < self.probability, IDENTITY_NUMBER)
        wide = Strengths(shear=0.99, translate=(32, 32), rotate=135, factor=0.99, bits=6)
        return transformed(
            images, (operations, whole(drawn[:, 1], BINS), whole(drawn[:, 2], 2)), wide, self.interpolation
        )
