"""Values that a search draws from: `{log_uniform: [1e-4, 1e-1]}` in place of a list."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from cnnsweep.spec.values import JsonSchema, found, mistake, nearest_name

CHOICE = "choice"
KINDS = ("uniform", "log_uniform", "integer", "log_integer", "normal")
DISTRIBUTIONS = (*KINDS, CHOICE)

_STEPPED = ("uniform", "integer")
_WHOLE = ("integer", "log_integer")
_DEVIATIONS = 4  # how far a normal distribution reaches without `min` and `max`
_DIGITS = 5  # of a drawn number: it stands in names and tables, and is what is trained with


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
        if self.kind in _STEPPED and self.count < math.inf:
            place = min(int(quantile * self.count), int(self.count) - 1)
            return self._rounded(self.low + place * (self.step or 1))
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
        if self.kind in _STEPPED and self.count < math.inf:
            step = self.step or 1
            value = self.low + round((value - self.low) / step) * step
        return self._rounded(value)

    def _rounded(self, value: float) -> float | int:
        inside = min(max(value, self.low), self.high)
        if self.is_whole:
            return round(inside)
        return min(max(float(f"{inside:.{_DIGITS}g}"), self.low), self.high)

    def as_written(self) -> dict[str, Any]:
        """Return the mapping that a sweep file has."""
        if self.kind == "normal":
            return {"normal": [self.mean, self.deviation], "min": self.low, "max": self.high}
        ends = [self.low, self.high]
        return {self.kind: ends} if self.step is None else {self.kind: ends, "step": self.step}


def is_distribution(value: object) -> bool:
    """True for a mapping that means values to draw from, and not a value itself."""
    return isinstance(value, dict) and any(key in value for key in DISTRIBUTIONS)


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
            near = nearest_name(str(key), sorted(others))
            hint = (
                f"did you mean '{near}'?" if near else f"beside it is allowed: {', '.join(sorted(others)) or 'nothing'}"
            )
            raise mistake(f"{kind} has no key '{key}'; {hint}")
    if kind == CHOICE:
        if not isinstance(mapping[kind], list) or not mapping[kind]:
            raise mistake(f"choice: {found(mapping[kind])}, allowed is a list of one or more values")
        return check(mapping[kind])
    interval = _read_interval(kind, mapping)
    _check_values(interval, check)
    return interval


def _read_interval(kind: str, mapping: dict[str, Any]) -> Interval:
    names = "mean and deviation" if kind == "normal" else "lowest and highest"
    ends = mapping[kind]
    if not isinstance(ends, list) or len(ends) != 2 or not all(map(_is_number, ends)):
        raise mistake(f"{kind}: {found(ends)}, allowed is a list of two numbers, {names}")
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
    if kind in _WHOLE and not all(float(end).is_integer() for end in (low, high, mapping.get("step", 1))):
        raise mistake(f"{kind}: bounds and step must be whole numbers")
    if kind.startswith("log_") and low <= 0:
        raise mistake(f"{kind}: the lowest must be above 0, found {low:g}")
    step = mapping.get("step")
    if step is not None and not 0 < step <= high - low:
        raise mistake(f"step: found {step:g}, allowed is a number above 0, up to {high - low:g}")
    if kind in _WHOLE:
        low, high, step = int(low), int(high), None if step is None else int(step)
    return Interval(kind, low, high, step, mean, deviation)


def _check_values(interval: Interval, check: Callable[[list[Any]], Any]) -> None:
    """Let the key check both ends and a value between them, which tells whether it takes fractions."""
    between = interval.at(0.381966)
    try:
        check([interval.low, interval.high])
    except (ValidationError, PydanticCustomError):
        if interval.kind != "normal":
            raise
        reach = f"normal reaches from {interval.low:g} to {interval.high:g}"
        raise mistake(f"{reach}, not all of which is allowed; add min and max") from None
    try:
        check([between])
    except (ValidationError, PydanticCustomError):
        raise mistake(
            f"{interval.kind} draws numbers such as {between:g}; for whole ones use integer or log_integer"
        ) from None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
