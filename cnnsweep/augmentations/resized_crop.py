"""Random parts of images, enlarged to their size (Szegedy et al., arXiv:1409.4842)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cnnsweep.augmentations.base import Augmentation, Draw
from cnnsweep.augmentations.ranges import Between, Range

if TYPE_CHECKING:
    from torch import Tensor


class ResizedCrop(Augmentation, name="resized_crop"):
    """Cut out a random part of random proportions, and enlarge it to the size of the image (bilinear)."""

    scale: Annotated[Range, Between(0, 1, above=True)] = Field(
        default=(0.08, 1.0), description="area of the part, as a share of the image's"
    )
    ratio: Annotated[Range, Between(0, 100, above=True)] = Field(
        default=(3 / 4, 4 / 3), description="width of the part divided by its height"
    )

    def apply(self, images: Tensor, draws: Draw) -> Tensor:
        """Return the enlarged parts."""
        from cnnsweep.augmentations.batches import changed_where
        from cnnsweep.augmentations.boxes import NUMBERS, draw_boxes, enlarged

        boxes = draw_boxes(draws(NUMBERS), (images.shape[2], images.shape[3]), self.scale, self.ratio)
        return changed_where(None, images, lambda some, rows: enlarged(some, boxes[rows]))
