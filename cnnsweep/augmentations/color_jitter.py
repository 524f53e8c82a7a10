"""Random brightness, contrast, saturation and hue."""

from __future__ import annotations

import itertools
from functools import cache
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from cnnsweep.augmentations.base import Augmentation, Draw, whole
from cnnsweep.augmentations.ranges import Between, Range

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_NAMES = ("brightness", "contrast", "saturation", "hue")
_OF_COLOURS = ("saturation", "hue")
Amount = Annotated[float | Range, Between(0, 10, or_single=True)]


class ColorJitter(Augmentation, name="color_jitter"):
    """Change brightness, contrast, saturation and hue by random factors, in a random order for each image."""

    is_flag: ClassVar[bool] = True
    brightness: Amount = Field(default=0.4, description="factors are drawn from 1 ± this, or from [low, high]")
    contrast: Amount = Field(default=0.4, description="factors are drawn from 1 ± this, or from [low, high]")
    saturation: Amount = Field(default=0.4, description="factors are drawn from 1 ± this, or from [low, high]")
    hue: Annotated[float | Range, Between(-0.5, 0.5, or_single=True)] = Field(
        default=0.0, description="shifts are drawn from 0 ± this, or from [low, high]; 1 is the whole colour circle"
    )

    @property
    def changes_nothing(self) -> bool:
        return not self._ranges

    def refusal(self, image_shape: tuple[int, int, int]) -> str | None:
        """Return the reason why grey images have no saturation and no hue."""
        given = [name for name in _OF_COLOURS if name in self._ranges]
        if image_shape[0] == 3 or not given:
            return None
        has = "1 channel" if image_shape[0] == 1 else f"{image_shape[0]} channels"
        off = ", ".join(f"{name}: 0" for name in given)
        return f"{' and '.join(given)}: images need 3 channels, and have {has}; write {{color_jitter: {{{off}}}}}"

    @property
    def _ranges(self) -> dict[str, Range]:
        """The range of each factor that is not always the same."""
        middles = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}
        ranges = {name: _range(getattr(self, name), middle) for name, middle in middles.items()}
        return {name: pair for name, pair in ranges.items() if pair != (middles[name],) * 2}

    def apply(self, images: Tensor, draws: Draw) -> Tensor:
        """Return images after each of the four, in an order that is drawn."""
        from cnnsweep.augmentations import colors, levels
        from cnnsweep.augmentations.batches import changed_where

        changes = {
            "brightness": lambda some, by: levels.with_table(some, levels.brightness(some, by)),
            "contrast": lambda some, by: levels.with_table(some, levels.contrast(some, by)),
            "saturation": colors.saturation,
            "hue": colors.hue,
        }
        drawn, ranges = draws(1 + len(_NAMES)), self._ranges
        orders = _orders(len(ranges), images.device)
        order = orders[whole(drawn[:, 0], len(orders))]  # (N, of those that vary)
        for position, (number, name) in itertools.product(range(len(ranges)), enumerate(ranges)):
            low, high = ranges[name]
            factors = drawn[:, 1 + _NAMES.index(name)] * (high - low) + low
            change = changes[name]
            images = changed_where(
                order[:, position] == number,
                images,
                lambda some, rows, change=change, factors=factors: change(some, factors[rows]),  # type: ignore[misc]
            )
        return images


def _range(value: float | Range, middle: float) -> Range:
    if isinstance(value, tuple):
        return value
    return max(0.0, middle - value) if middle else -value, middle + value


@cache
def _orders(count: int, device: torch.device) -> Tensor:
    """Return all orders of a number of things (count!, count)."""
    import torch

    return torch.tensor(list(itertools.permutations(range(count))), device=device)
