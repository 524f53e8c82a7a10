"""Between the numbers of an interval and what a method searches in their place."""

from __future__ import annotations

import math
from statistics import NormalDist

from cnnsweep.search.base import Dimension
from cnnsweep.spec.distributions import Interval


def share_below(dimension: Dimension, value: float) -> float:
    """Return the share (0 to 1) of all draws below a number, which is where `Dimension.at` gives it back.

    Of a number that has a share of its own, as whole ones have, it is the middle of it.
    """
    interval = dimension.interval
    assert interval is not None
    if has_places(interval):
        return (place(interval, value) + 0.5) / interval.count
    value = min(max(value, interval.low), interval.high)
    low, high = interval.low, interval.high
    if interval.kind == "normal":
        normal = NormalDist(interval.mean, interval.deviation)
        value, low, high = normal.cdf(value), normal.cdf(low), normal.cdf(high)
    elif interval.kind == "log_integer":
        value, low, high = math.log(value), math.log(low - 0.5), math.log(high + 0.5)
    elif interval.is_log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.0  # bounds in the far tail of a normal


def has_places(interval: Interval) -> bool:
    """True if the numbers stand at equal distances, and so can be counted from the lowest on."""
    return interval.count < math.inf and not interval.is_log


def place(interval: Interval, value: float) -> int:
    """Return which number of such an interval is nearest, from 0."""
    return min(max(round((value - interval.low) / (interval.step or 1)), 0), int(interval.count) - 1)


def at_place(interval: Interval, place: int) -> float | int:
    """Return a number by its place."""
    return interval.nearest(interval.low + place * (interval.step or 1))
