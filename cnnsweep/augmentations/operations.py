"""The fourteen operations of TrivialAugment and RandAugment, each for the images of a batch that drew it.

Operations, magnitudes and pixels are those of `torchvision.transforms.v2`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from cnnsweep.augmentations import levels
from cnnsweep.augmentations.batches import changed_where
from cnnsweep.augmentations.colors import saturation, sharpness
from cnnsweep.augmentations.warp import IDENTITY, rotation, shear_x, shear_y, translation, warped

BINS = 31  # magnitudes of an operation
NAMES = (
    *("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness", "color", "contrast"),
    *("sharpness", "posterize", "solarize", "autocontrast", "equalize"),
)
_NOTHING = (IDENTITY, 0.0)
IDENTITY_NUMBER = NAMES.index("identity")
_MOVES = slice(1, 6)  # of the names
_TABLES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": levels.brightness,
    "contrast": levels.contrast,
    "posterize": levels.posterize,
    "solarize": levels.solarize,
    "autocontrast": lambda images, _: levels.autocontrast(images),
    "equalize": lambda images, _: levels.equalize(images),
}


@dataclass(frozen=True, slots=True)
class Strengths:
    """The largest magnitudes.

    Attributes:
        shear: slope.
        translate: pixels down and right.
        rotate: degrees.
        factor: distance of brightness, colour, contrast and sharpness from 1.
        bits: levels lose up to this number of bits.
    """

    shear: float
    translate: tuple[float, float]
    rotate: float
    factor: float
    bits: int


@dataclass(frozen=True, slots=True)
class _Space:
    """All operations with their magnitudes, on a device.

    Attributes:
        matrices: (14, 31, 2, 6) by operation, magnitude and sign.
        amounts: (14, 31, 2), the number that an operation on colours takes.
    """

    matrices: Tensor
    amounts: Tensor


def transformed(
    images: Tensor, drawn: tuple[Tensor, Tensor, Tensor], strengths: Strengths, interpolation: str
) -> Tensor:
    """Return images (N, C, H, W) uint8, each after one operation; changed in place.

    Args:
        drawn: operation, magnitude (0 to 30) and sign (1 is negative) of each image, (N,) int64.
    """
    space = _space(strengths, (images.shape[2], images.shape[3]), images.device)
    operations, amounts = drawn[0], space.amounts[drawn]
    is_move = (operations >= _MOVES.start) & (operations < _MOVES.stop)
    matrices = space.matrices[drawn]
    images = changed_where(is_move, images, lambda some, rows: warped(some, matrices[rows], interpolation))
    images = changed_where(
        operations == NAMES.index("color"), images, lambda some, rows: saturation(some, amounts[rows])
    )
    images = changed_where(
        operations == NAMES.index("sharpness"), images, lambda some, rows: sharpness(some, amounts[rows])
    )
    return changed_where(
        torch.isin(operations, _numbers(images.device)),
        images,
        lambda some, rows: levels.with_table(some, _tables(some, operations[rows], amounts[rows])),
    )


def _tables(images: Tensor, operations: Tensor, amounts: Tensor) -> Tensor:
    """Return the table (n, C, 256) of each image's operation."""
    every_level = levels.all_levels(images.device).to(torch.uint8)
    tables = every_level.expand(*images.shape[:2], -1).contiguous()
    for name, table in _TABLES.items():
        tables = changed_where(
            operations == NAMES.index(name),
            tables,
            lambda some, rows, table=table: table(images[rows], amounts[rows]).expand(some.shape),  # type: ignore[misc]
        )
    return tables


@cache
def _numbers(device: torch.device) -> Tensor:
    return torch.tensor([NAMES.index(name) for name in _TABLES], device=device)


@cache
def _space(strengths: Strengths, size: tuple[int, int], device: torch.device) -> _Space:
    magnitudes = {name: torch.linspace(*ends, BINS).tolist() for name, ends in _ends(strengths).items()}
    every = [
        [_of_magnitude({name: values[place] for name, values in magnitudes.items()}, sign, size) for sign in (1, -1)]
        for place in range(BINS)
    ]  # (31, 2)
    matrices = torch.tensor([[[one.get(name, _NOTHING)[0] for one in pair] for pair in every] for name in NAMES])
    amounts = torch.tensor([[[one.get(name, _NOTHING)[1] for one in pair] for pair in every] for name in NAMES])
    return _Space(matrices.to(device), amounts.to(device))


def _ends(of: Strengths) -> dict[str, tuple[float, float]]:
    """Return the magnitudes of 0 and 30; those between lie evenly, as float32."""
    moves = {"shear": (0, of.shear), "down": (0, of.translate[0]), "right": (0, of.translate[1])}
    return {**moves, "rotate": (0, of.rotate), "factor": (0, of.factor), "bits": (0, of.bits), "solarize": (1, 0)}


def _of_magnitude(
    of: Mapping[str, float], sign: int, size: tuple[int, int]
) -> dict[str, tuple[tuple[float, ...], float]]:
    """Return matrix and amount of each operation."""
    height, width = size
    factor = 1 + of["factor"] * sign
    return {
        "shear_x": (shear_x(of["shear"] * sign, height), 0.0),
        "shear_y": (shear_y(of["shear"] * sign, width), 0.0),
        "translate_x": (translation(of["right"] * sign, 0), 0.0),
        "translate_y": (translation(0, of["down"] * sign), 0.0),
        "rotate": (rotation(of["rotate"] * sign), 0.0),
        **dict.fromkeys(("brightness", "color", "contrast", "sharpness"), (IDENTITY, factor)),
        "posterize": (IDENTITY, 2.0 ** round(of["bits"])),
        "solarize": (IDENTITY, 255 * of["solarize"]),
    }
