"""Contract of augmentations: random changes to training images, drawn for each image by its position in the data set.

    class Noise(Augmentation, name="noise"):
        \"\"\"Uniform noise.\"\"\"

        size: int = 8

        def apply(self, images, draws):
            shift = (draws(1)[:, :, None, None] * 2 - 1) * self.size
            return (images + shift).clamp(0, 255).to(images.dtype)

A sweep file names it as `augment: flip+noise`, gives its first field as `{noise: 16}`, or fields by name as
`{noise: {size: 16}}`.

Order of application: that of `APPLIED`, then all others by name. Each draws from its own random stream, by its name, so
that no other augmentation changes its draws.

A user's function of a batch is one too, `augment: my.py:darken`; its keyword arguments are fields:

    def darken(images, generator, most=0.5):
        share = 1 - most * torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device)
        return (images * share).to(torch.uint8)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import PurePath
from types import FunctionType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import ConfigDict, create_model

from cnnsweep.augmentations.function_fields import arguments_of, place_of, takes_any, takes_generator
from cnnsweep.errors import UsageError
from cnnsweep.field_types import Number, OneOf
from cnnsweep.registry import Component, Registry
from cnnsweep.seeding import kept_generators, new_generator, seed_step
from cnnsweep.types import Choice

if TYPE_CHECKING:
    from torch import Tensor

FIRST = ("flip", "crop", "cutout")  # augmentations of the first version, in the order of a sweep file
# First what chooses a part of the image, then its place, its colours, and what is blanked at last.
APPLIED = (
    *("resized_crop", "crop", "flip", "vertical_flip", "rotate", "trivial", "rand", "color_jitter", "cutout", "erase"),
)
Draw = Callable[[int], "Tensor"]
Probability = Annotated[float, Number(least=0, most=1)]
Interpolation = Annotated[str, OneOf(("nearest", "bilinear"))]


class Augmentation(Component):
    """Base of augmentations.

    Attributes:
        is_flag: a sweep file turns it on and off by true and false; its fields stand in a mapping. Otherwise a single
            value is its first field.
    """

    is_flag: ClassVar[bool] = False

    @property
    def changes_nothing(self) -> bool:
        """True for arguments that switch it off, such as size 0."""
        return False

    def refusal(self, image_shape: tuple[int, int, int]) -> str | None:
        """Return the reason why images of a shape (C, H, W) cannot be changed so; None if they can."""
        del image_shape
        return None

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


class OwnFunction(Augmentation):
    """Base of a user's functions, which draw for a whole batch; their keyword arguments are fields."""

    function: ClassVar[FunctionType]
    place: ClassVar[str] = ""  # the reference, then file and line

    def of_batch(self, images: Tensor, seed: int) -> Tensor:
        """Return what the function makes of a batch (N, C, H, W) uint8, of which it gets a copy.

        Generators that it does not get, torch's own and those of Python and NumPy, are seeded too, and restored.

        Raises:
            UsageError: it returned anything else than images of the same kind.
        """
        with kept_generators(images.device):
            seed_step(images.device, seed)
            generator = [new_generator(images.device, seed)] if takes_generator(self.function) else []
            changed: Tensor = self.function(images.clone(), *generator, **dict(self))
        allowed = _kind_of(images)
        if (found := _kind_of(changed)) != allowed:
            raise UsageError(f"{self.place}: returned {found}, allowed is {allowed}")
        return changed.contiguous()


class _OpenFunction(OwnFunction):
    """Base of functions that take any keyword argument."""

    model_config = ConfigDict(extra="allow")


def _kind_of(images: Any) -> str:
    """Return type, shape and device in words."""
    if not hasattr(images, "dtype") or not hasattr(images, "device"):
        return f"{type(images).__name__}"
    return f"a tensor of {str(images.dtype).removeprefix('torch.')} {tuple(images.shape)} on {images.device.type}"


@cache
def of_function(function: FunctionType, reference: str) -> type[OwnFunction]:
    """Return the class of a user's function.

    Raises:
        UsageError: its parameters do not fit.
    """
    place = f"augmentation {PurePath(reference).name}: {place_of(function)}"
    fields = arguments_of(function, place, taken=dir(OwnFunction))
    base = _OpenFunction if takes_any(function) else OwnFunction
    made = create_model(function.__name__, __base__=base, __doc__=function.__doc__, **fields)
    made.function = staticmethod(function)  # type: ignore[assignment]  # a class would bind it
    made.place = place
    return made


def _of_code(value: Any, reference: str) -> type[Augmentation] | None:
    return of_function(value, reference) if isinstance(value, FunctionType) else None


AUGMENTATIONS = Registry("augmentation", "augmentations", Augmentation, _of_code, leading=2)


def as_listed(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """Return augmentations as a sweep file lists them: flip, crop, cutout, then others by name."""
    return tuple(sorted(choices, key=lambda choice: _rank(choice, FIRST)))


def in_order(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """Return augmentations in the order of their application."""
    return tuple(sorted(choices, key=lambda choice: _rank(choice, APPLIED)))


def stream_name(choice: Choice) -> str:
    """Return the name of an augmentation's random stream; a user's own file without its folder."""
    file, colon, name = choice.name.rpartition(":")
    return f"{PurePath(file).name}{colon}{name}" if choice.code is not None else choice.name


def _rank(choice: Choice, first: Sequence[str]) -> tuple[int, str]:
    return first.index(choice.name) if choice.name in first else len(first), stream_name(choice)


def whole(uniform: Tensor, choices: int | Tensor) -> Tensor:
    """Return whole numbers from 0 to choices - 1 for numbers in [0, 1)."""
    # float32 may round the product up to `choices`
    return (uniform * choices).long().clamp(max=choices - 1)
