"""Distributions in the sweep file: `{log_uniform: [1e-4, 1e-1]}` in place of a list."""

import math
from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from cnnsweep.field_types import JsonSchema, found, mistake, nearest_name, quoted
from cnnsweep.samplers.space import KINDS, STEPPED, WHOLE, Interval

CHOICE = "choice"
DISTRIBUTIONS = (*KINDS, CHOICE)
_ALL_KINDS = ", ".join(DISTRIBUTIONS)

_DEVIATIONS = 4  # how far a normal distribution reaches without `min` and `max`
_LEAST_SHARE = 1e-9  # of a normal distribution, between `min` and `max`: floats cannot tell the quantiles of less apart
_MOST_STEPS = 1e9
_MOST_KEYS_SEARCHED = 5  # for a misspelt distribution

# Keys of other tools in the mapping of a distribution.
_FOREIGN = frozenset(["min", "max", "step", "low", "high", "values", "value", "distribution", "type"])


def is_distribution(value: object) -> bool:
    """True for a mapping that means values to draw from, and not a value itself, such as a model with arguments."""
    return isinstance(value, dict) and "name" not in value and any(key in value for key in DISTRIBUTIONS)


def is_choice(value: object) -> bool:
    """True for `{choice: [...]}` and nothing else: the one distribution of a key whose own values are mappings."""
    return isinstance(value, dict) and value.keys() == {CHOICE} and isinstance(value[CHOICE], list)


def misspelt_distribution(value: object) -> str | None:
    """Return the message for a value that may have been meant as a distribution; None for others."""
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
        check: reads a list of the key's values; raises pydantic's errors for others.

    Raises:
        PydanticCustomError: the mapping is no distribution.
    """
    kind = next(key for key in DISTRIBUTIONS if key in mapping)
    others = {"step"} if kind in STEPPED else {"min", "max"} if kind == "normal" else set()
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
    if kind in WHOLE and not all(float(end).is_integer() for end in (low, high, mapping.get("step", 1))):
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
    if kind in WHOLE:
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
    """Return a fraction between the bounds, as a test of the key."""
    between = [interval.low + share * (interval.high - interval.low) for share in (0.381966, 0.5, 0.7071)]
    return next((number for number in between if not float(number).is_integer()), between[0])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
