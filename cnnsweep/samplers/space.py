"""Search space: the dimensions that a sampler chooses from, each a list of options or an interval of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist
from typing import Any

KINDS = ("uniform", "log_uniform", "integer", "log_integer", "normal")
STEPPED = ("uniform", "integer")
WHOLE = ("integer", "log_integer")

_DIGITS = 5  # of a drawn number: it stands in names and tables, and is what is trained with
_MOST_DIGITS = 12  # of those in steps, and where the bounds agree in their first digits; the rest may be noise
_SMALL_SHARE = 1e-3  # of a step, that rounding may move a number: else it is written with all its digits
_BELOW_ONE = math.nextafter(1.0, 0.0)  # intervals take shares up to here; CMA-ES and Optuna may choose the end itself


@dataclass(frozen=True, slots=True)
class Interval:
    """A distribution of numbers between two bounds.

    Attributes:
        kind: one of `KINDS`.
        low, high: the bounds, which belong to it.
        step: uniform, integer: the distance between neighbours, counted from `low`; None without steps.
        mean, deviation: normal: before it was cut off at the bounds.
    """

    kind: str
    low: float
    high: float
    step: float | None = None
    mean: float = 0.0
    deviation: float = 1.0

    @property
    def is_whole(self) -> bool:
        return self.kind in WHOLE

    @property
    def is_log(self) -> bool:
        return self.kind.startswith("log_")

    @property
    def count(self) -> float:
        """The number of values; infinite where they are not counted in steps."""
        if self.kind == "log_integer":
            return self.high - self.low + 1
        step = 1 if self.kind == "integer" and self.step is None else self.step
        return math.inf if step is None else math.floor((self.high - self.low) / step * (1 + 1e-12)) + 1

    def at(self, quantile: float) -> float | int:
        """Return the value below which a share `quantile` (0 to below 1) of all draws lie."""
        if self.has_places:
            return self.at_place(int(quantile * self.count))
        if self.kind == "log_integer":  # each whole number has the room of half a unit on either side
            low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
            return self._rounded(math.exp(low + quantile * (high - low)))
        if self.kind == "log_uniform":
            low, high = math.log(self.low), math.log(self.high)
            return self._rounded(math.exp(low + quantile * (high - low)))
        if self.kind == "normal":
            normal = NormalDist(self.mean, self.deviation)
            low, high = normal.cdf(self.low), normal.cdf(self.high)
            share = low + quantile * (high - low)
            return self._rounded(normal.inv_cdf(share) if 0 < share < 1 else self.low)
        return self._rounded(self.low + quantile * (self.high - self.low))

    def nearest(self, value: float) -> float | int:
        """Return the value of this interval that is nearest to a number."""
        return self.at_place(self.place(value)) if self.has_places else self._rounded(value)

    @property
    def has_places(self) -> bool:
        """True if the numbers stand at equal distances, and so can be counted from the lowest on."""
        return self.kind in STEPPED and self.count < math.inf

    def place(self, value: float) -> int:
        """Return the position, from 0, of the number of such an interval that is nearest."""
        return min(max(round((value - self.low) / (self.step or 1)), 0), int(self.count) - 1)

    def at_place(self, place: int) -> float | int:
        """Return a number by its position, in its shortest form: the third after 0, in steps of 0.1, is 0.3."""
        step = self.step or 1
        place = min(place, int(self.count) - 1)
        # In floats -0.3 + 3 * 0.1 is 5.55e-17.
        exact = float(Decimal(repr(self.low)) + place * Decimal(repr(step)))
        rounded = self._rounded(exact)
        return rounded if abs(rounded - exact) <= _SMALL_SHARE * step else min(exact, self.high)

    def values(self) -> Iterator[float | int]:
        """Yield all values of an interval whose `count` is finite, from the lowest on."""
        for place in range(int(self.count)):
            yield self.at_place(place) if self.has_places else int(self.low) + place

    def _rounded(self, value: float) -> float | int:
        inside = min(max(value, self.low), self.high)
        if self.is_whole:
            return round(inside)
        return min(max(float(f"{inside:.{self._digits}g}"), self.low), self.high)

    @property
    def _digits(self) -> int:
        if self.step is not None:
            return _MOST_DIGITS
        # Between 0.99999 and 0.999999 five digits would leave the two ends and nothing else.
        alike = math.log10(max(abs(self.low), abs(self.high)) / (self.high - self.low))
        return min(_DIGITS + max(math.floor(alike) - 1, 0), _MOST_DIGITS)

    def as_written(self) -> dict[str, Any]:
        """Return the mapping that a sweep file has."""
        if self.kind == "normal":
            return {"normal": [self.mean, self.deviation], "min": self.low, "max": self.high}
        ends = [self.low, self.high]
        return {self.kind: ends} if self.step is None else {self.kind: ends, "step": self.step}


@dataclass(frozen=True, slots=True)
class Dimension:
    """One value to choose: by index among `options` options, or a number of `interval`. One of the two is None."""

    name: str
    options: int | None = None
    interval: Interval | None = None

    def __post_init__(self) -> None:
        if (self.options is None) == (self.interval is None):
            raise ValueError(f"dimension {self.name}: give either options or an interval")

    def at(self, share: float) -> float | int:
        """Return the index or number below which a share (0 to 1) of all draws lie."""
        share = min(share, _BELOW_ONE)
        if self.interval is not None:
            return self.interval.at(share)
        assert self.options is not None
        return min(int(share * self.options), self.options - 1)


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """The dimensions of a search, in the order of their names, and the direction of its metric.

    Attributes:
        mode: `max` or `min`: whether more or less of the metric is better.
    """

    dimensions: tuple[Dimension, ...]
    mode: str = "max"

    def __post_init__(self) -> None:
        names = [dimension.name for dimension in self.dimensions]
        if len(set(names)) < len(names):
            raise ValueError("two dimensions have one name")
        ordered = tuple(sorted(self.dimensions, key=lambda dimension: dimension.name))
        object.__setattr__(self, "dimensions", ordered)
