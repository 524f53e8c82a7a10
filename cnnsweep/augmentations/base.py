"""Contract of augmentations: random changes to training images, drawn for each image by its position in the data set.

    class Noise(Augmentation, name="noise"):
        \"\"\"Uniform noise.\"\"\"

        size: int = 8

        def apply(self, images, draws):
            shift = (draws(1)[:, :, None, None] * 2 - 1) * self.size
            return (images + shift).clamp(0, 255).to(images.dtype)

A sweep file names it as `augment: flip+noise`, gives its first field as `{noise: 16}`, or fields by name as
`{noise: {size: 16}}`.

Order of application: crop, flip, cutout, then all others by name. Each draws from its own random stream, by its name,
so that no other augmentation changes its draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

from cnnsweep.registry import Component, Registry
from cnnsweep.types import Choice

if TYPE_CHECKING:
    from torch import Tensor

FIRST = ("flip", "crop", "cutout")  # augmentations of the first version, in the order of a sweep file
_FIRST_APPLIED = ("crop", "flip", "cutout")
Draw = Callable[[int], "Tensor"]


class Augmentation(Component):
    """Base of augmentations."""

    @property
    def changes_nothing(self) -> bool:
        """True for arguments that switch it off, such as size 0."""
        return False

    def apply(self, images: Tensor, draws: Draw) -> Tensor:
        """Return the changed images.

        Args:
            images: (N, C, H, W) uint8; they may be changed in place.
            draws: returns float32 in [0, 1), (N, number), for a number of draws per image, on the device of the images.
                They depend only on seed, epoch and the image's position in the data set. The number is always the same.
        """
        raise NotImplementedError


class Move(Augmentation):
    """Base of augmentations that move whole rows and columns; `moving.moved` applies consecutive ones in one pass.

    Attributes:
        stays_inside: each row and column comes from the image; pixels outside are 0.
    """

    stays_inside: ClassVar[bool] = False

    def source(self, rows: Tensor, columns: Tensor, size: tuple[int, int], draws: Draw) -> tuple[Tensor, Tensor]:
        """Return the source rows (H,) or (N, H) and columns (W,) or (N, W) of the result.

        Args:
            size: height and width of the image; an unmoved row is returned as it is.
        """
        raise NotImplementedError


AUGMENTATIONS = Registry("augmentation", "augmentations", Augmentation)


def as_listed(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """Return augmentations as a sweep file lists them: flip, crop, cutout, then others by name."""
    return tuple(sorted(choices, key=lambda choice: _rank(choice, FIRST)))


def in_order(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """Return augmentations in the order of their application."""
    return tuple(sorted(choices, key=lambda choice: _rank(choice, _FIRST_APPLIED)))


def stream_name(choice: Choice) -> str:
    """Return the name of an augmentation's random stream; a user's own file without its folder."""
    file, colon, name = choice.name.rpartition(":")
    return f"{PurePath(file).name}{colon}{name}" if choice.code is not None else choice.name


def _rank(choice: Choice, first: Sequence[str]) -> tuple[int, str]:
    return first.index(choice.name) if choice.name in first else len(first), stream_name(choice)


def whole(uniform: Tensor, choices: int) -> Tensor:
    """Return whole numbers from 0 to choices - 1 for numbers in [0, 1)."""
    return (uniform * choices).long().clamp(max=choices - 1)  # float32 may round the product up to `choices`
