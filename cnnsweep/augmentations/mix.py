"""Base of augmentations that mix the images of a batch and their labels, and the draws of a batch.

Each image is mixed with the one before it in its batch; one share holds for all images of a batch, as in the papers and
in `torchvision.transforms.v2`. An image keeps at least half of itself: so metrics of training images can count its own
label, and of the pairs nothing changes, since an image is as often the first of a pair as the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from cnnsweep.augmentations.base import AUGMENTATIONS, Augmentation, Probability, in_order
from cnnsweep.field_types import Number
from cnnsweep.seeding import derive_seed
from cnnsweep.types import Choice

if TYPE_CHECKING:
    from torch import Tensor

_STREAM = "augment.mix"
Box = tuple[int, int, int, int]  # top, left, bottom, right


@dataclass(frozen=True, slots=True)
class DrawnMix:
    """The mix of a batch.

    Attributes:
        share: of an image's own label, from 0.5 to 1; the rest is of the label of the image before it.
        box: pixels that come from the image before; None for a weighted mean of all pixels.
    """

    share: float
    box: Box | None = None

    def of_images(self, images: Tensor) -> Tensor:
        """Return images (N, C, H, W) uint8, each mixed with the one before it; the first with the last."""
        others = images.roll(1, 0)
        if self.box is None:
            return (images * self.share + others * (1 - self.share)).round_().to(images.dtype)
        top, left, bottom, right = self.box
        mixed = images.clone()
        mixed[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
        return mixed


class Mix(Augmentation):
    """Base of augmentations that mix images and labels."""

    alpha: Annotated[float, Number(least=0, most=1000)] = Field(
        default=1.0, description="shares are drawn from Beta(alpha, alpha): 1 is uniform, below 1 nearer to 0 and 1"
    )
    probability: Probability = Field(default=1.0, description="share of the batches that are mixed")

    @property
    def changes_nothing(self) -> bool:
        return self.alpha == 0 or self.probability == 0

    def of_share(self, share: float, random: Random, size: tuple[int, int]) -> DrawnMix:
        """Return the mix of a batch.

        Args:
            share: of an image's own label, from 0.5 to 1.
            random: for further draws.
            size: height and width of the images.
        """
        raise NotImplementedError


def has_mix(choices: Sequence[Choice]) -> bool:
    """True if some of a run's augmentations mix labels."""
    return bool(_mixes(tuple(choices)))


def draw_mix(choices: Sequence[Choice], seed: int, epoch: int, step: int, size: tuple[int, int]) -> DrawnMix | None:
    """Return the mix of a run's batch, by one of its augmentations that mix; None where none does.

    Args:
        size: height and width of the images.
    """
    if not (mixes := _mixes(tuple(choices))):
        return None
    random = Random(derive_seed(seed, _STREAM, epoch, step))
    mix = mixes[int(random.random() * len(mixes))]
    if random.random() >= mix.probability:
        return None
    share = random.betavariate(mix.alpha, mix.alpha)
    return mix.of_share(max(share, 1 - share), random, size)


@lru_cache(maxsize=256)
def _mixes(choices: tuple[Choice, ...]) -> tuple[Mix, ...]:
    made = [AUGMENTATIONS.make(choice) for choice in in_order(choices)]
    return tuple(one for one in made if isinstance(one, Mix))
