"""Random erasing (Zhong et al., arXiv:1708.04896)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cnnsweep.augmentations.base import Augmentation, Draw, Probability
from cnnsweep.augmentations.ranges import Between, Range
from cnnsweep.field_types import Whole

if TYPE_CHECKING:
    from torch import Tensor


class Erase(Augmentation, name="erase"):
    """Blank a rectangle of random area and proportions that lies inside the image."""

    probability: Probability = Field(default=0.5, description="share of the images that lose a rectangle; 0 is off")
    scale: Annotated[Range, Between(0, 1, above=True)] = Field(
        default=(0.02, 0.33), description="area of the rectangle, as a share of the image's"
    )
    ratio: Annotated[Range, Between(0, 100, above=True)] = Field(
        default=(0.3, 3.3), description="height of the rectangle divided by its width"
    )
    value: Annotated[int, Whole(0, 255)] = Field(default=0, description="grey level of the rectangle, before normalize")

    @property
    def changes_nothing(self) -> bool:
        return self.probability == 0

    def apply(self, images: Tensor, draws: Draw) -> Tensor:
        """Return the images with rectangles of one level."""
        from cnnsweep.augmentations.boxes import NUMBERS, draw_boxes, inside

        drawn = draws(1 + NUMBERS)
        size = images.shape[2], images.shape[3]
        boxes = draw_boxes(drawn[:, 1:], size, self.scale, self.ratio, smaller=True)
        is_erased = inside(boxes, size) & (drawn[:, 0] < self.probability)[:, None, None]  # (N, H, W)
        return images.masked_fill_(is_erased[:, None], self.value)
