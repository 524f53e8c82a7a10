"""Values that a search draws from: `{log_uniform: [1e-4, 1e-1]}` in place of a list."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import NormalDist
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from cnnsweep.field_types import JsonSchema, found, mistake, nearest_name, quoted

CHOICE = "choice"
KINDS = ("uniform", "log_uniform", "integer", "log_integer", "normal")
DISTRIBUTIONS = (*KINDS, CHOICE)
_ALL_KINDS = ", ".join(DISTRIBUTIONS)

_STEPPED = ("uniform", "integer")
_WHOLE = ("integer", "log_integer")
_DEVIATIONS = 4  # how far a normal distribution reaches without `min` and `max`
_LEAST_SHARE = 1e-9  # of a normal distribution, between `min` and `max`: floats cannot tell the quantiles of less apart
_DIGITS = 5  # of a drawn number: it stands in names and tables, and is what is trained with
_MOST_DIGITS = 12  # of those in steps, and where the bounds agree in their first digits; the rest may be noise
_SMALL_SHARE = 1e-3  # of a step, that rounding may move a number: else it is written with all its digits
_MOST_STEPS = 1e9
_MOST_KEYS_SEARCHED = 5  # for a misspelt distribution

# What other tools have in the mapping of a distribution.
_FOREIGN = frozenset(["min", "max", "step", "low", "high", "values", "value", "distribution", "type"])


@dataclass(frozen=True, slots=True)
class Interval:
    """Numbers between two bounds, and how likely each is.

    Attributes:
        kind: one of `KINDS`.
        low, high: the bounds, which belong to it.
        step: uniform, integer: the distance between neighbours, counted from `low`; None for no such.
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
        return self.kind in _WHOLE

    @property
    def is_log(self) -> bool:
        return self.kind.startswith("log_")

    @property
    def count(self) -> float:
        """How many values there are; infinite where they are not counted in steps."""
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
        return self.kind in _STEPPED and self.count < math.inf

    def place(self, value: float) -> int:
        """Return which number of such an interval is nearest, from 0."""
        return min(max(round((value - self.low) / (self.step or 1)), 0), int(self.count) - 1)

    def at_place(self, place: int) -> float | int:
        """Return a number by its place, as a person would write it: the third of `0, step 0.1` is 0.3."""
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


def is_distribution(value: object) -> bool:
    """True for a mapping that means values to draw from, and not a value itself, such as a model with arguments."""
    return isinstance(value, dict) and "name" not in value and any(key in value for key in DISTRIBUTIONS)


def misspelt_distribution(value: object) -> str | None:
    """Say how a value that a key does not take may have been meant as a distribution."""
    if isinstance(value, list) and any(map(is_distribution, value)):
        return "a distribution stands in place of the list, not in it"
    if not isinstance(value, dict) or "name" in value:
        return None
    for key in list(value)[:_MOST_KEYS_SEARCHED]:
        if nearest := nearest_name(key, DISTRIBUTIONS):
            return f"unknown distribution {quoted(key)}; did you mean '{nearest}'?"
    if value and value.keys() <= _FOREIGN:
        return f"a distribution begins with its kind, such as {{uniform: [0.1, 0.9]}}; there are {_ALL_KINDS}"
    return None


def distribution_schema(values: JsonSchema) -> JsonSchema:
    """Return the JSON Schema of a distribution over a key's values."""
    number = {"type": "number"}
    ends = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
    others = {"step": number, "min": number, "max": number}
    kinds = {**dict.fromkeys(KINDS, ends), CHOICE: values}
    return {"type": "object", "properties": {**kinds, **others}, "additionalProperties": False}


def read_distribution(mapping: dict[str, Any], check: Callable[[list[Any]], Any]) -> Any:
    """Return an `Interval`, or the checked values of a `choice`.

    Args:
        check: reads a list of the key's values, and raises pydantic's errors for what the key does not take.

    Raises:
        PydanticCustomError: what is written is no distribution.
    """
    kind = next(key for key in DISTRIBUTIONS if key in mapping)
    others = {"step"} if kind in _STEPPED else {"min", "max"} if kind == "normal" else set()
    for key in mapping:
        if key != kind and key not in others:
            raise mistake(_unknown_key(kind, key, sorted(others)))
    if kind == CHOICE:
        if not isinstance(mapping[kind], list) or not mapping[kind]:
            raise mistake(f"choice: {found(mapping[kind])}, allowed is a list of one or more values")
        return check(mapping[kind])
    return _checked(_read_interval(kind, mapping), check)


def _unknown_key(kind: str, key: str, others: list[str]) -> str:
    if key in DISTRIBUTIONS:
        return f"{kind} and {key} are two distributions; keep one of them"
    nearest = nearest_name(key, others)
    allowed = f"beside it may stand {' and '.join(others)}" if others else "it stands alone"
    hint = f"did you mean '{nearest}'?" if nearest else allowed
    return f"{kind} has no key {quoted(key)}; {hint}"


def _read_interval(kind: str, mapping: dict[str, Any]) -> Interval:
    names = "mean and deviation" if kind == "normal" else "lowest and highest"
    ends = mapping[kind]
    if not isinstance(ends, list) or len(ends) != 2 or not all(map(_is_number, ends)):
        is_pair = isinstance(ends, list) and len(ends) == 2
        wrong = next((end for end in ends if not _is_number(end)), None) if is_pair else ends
        count = f" of {len(wrong)}" if isinstance(wrong, list) and wrong else ""
        raise mistake(f"{kind}: {found(wrong)}{count}, allowed is a list of two numbers, {names}")
    for key in ("step", "min", "max"):
        if key in mapping and not _is_number(mapping[key]):
            raise mistake(f"{key}: {found(mapping[key])}, allowed is a number")
    if kind == "normal":
        mean, deviation = ends
        if deviation <= 0:
            raise mistake(f"normal: found a deviation of {deviation:g}, allowed is a number above 0")
        low = mapping.get("min", mean - _DEVIATIONS * deviation)
        high = mapping.get("max", mean + _DEVIATIONS * deviation)
    else:
        mean, deviation = 0.0, 1.0
        low, high = ends
    if not low < high:
        raise mistake(f"{kind}: the lowest ({low:g}) must be below the highest ({high:g})")
    if not math.isfinite(high - low):
        raise mistake(f"{kind}: found {low:g} to {high:g}, which is too far apart to compute with")
    if kind in _WHOLE and not all(float(end).is_integer() for end in (low, high, mapping.get("step", 1))):
        raise mistake(f"{kind}: bounds and step must be whole numbers")
    if kind.startswith("log_") and low <= 0:
        raise mistake(f"{kind}: the lowest must be above 0, found {low:g}")
    step = mapping.get("step")
    if step is not None and not 0 < step <= high - low:
        raise mistake(f"step: found {step:g}, allowed is a number above 0, up to {high - low:g}")
    if step is not None and (high - low) / step > _MOST_STEPS:
        raise mistake(f"step: found {step:g}, which makes more than {_MOST_STEPS:,.0f} steps; leave it out")
    if kind == "normal" and _share_within(mean, deviation, low, high) < _LEAST_SHARE:
        raise mistake(
            f"normal: nearly nothing of it lies between {low:g} and {high:g}; choose min and max around {mean:g}"
        )
    if kind in _WHOLE:
        low, high, step = int(low), int(high), None if step is None else int(step)
    return Interval(kind, low, high, step, mean, deviation)


def _share_within(mean: float, deviation: float, low: float, high: float) -> float:
    normal = NormalDist(mean, deviation)
    return normal.cdf(high) - normal.cdf(low)


def _checked(interval: Interval, check: Callable[[list[Any]], Any]) -> Interval:
    """Let the key check both ends and a fraction between them; return the interval as the key's values are."""
    try:
        for end in (interval.low, interval.high):
            check([end])
    except (ValidationError, PydanticCustomError):
        if interval.kind != "normal":
            raise
        reach = f"normal reaches from {interval.low:g} to {interval.high:g}"
        raise mistake(f"{reach}, not all of which is allowed; add min and max") from None
    if interval.is_whole:
        return interval
    fraction = _fraction_in(interval)
    try:
        check([fraction])
    except (ValidationError, PydanticCustomError):
        low, high, step = interval.low, interval.high, interval.step
        if step is not None and all(float(number).is_integer() for number in (low, high, step)):
            return replace(interval, kind="integer", low=int(low), high=int(high), step=int(step))
        text = f"{interval.kind} draws fractions, which are not allowed here; use integer or log_integer"
        raise mistake(text) from None
    return interval


def _fraction_in(interval: Interval) -> float:
    """Return a number between the bounds that is not whole, to see whether a key takes such."""
    between = [interval.low + share * (interval.high - interval.low) for share in (0.381966, 0.5, 0.7071)]
    return next((number for number in between if not float(number).is_integer()), between[0])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
