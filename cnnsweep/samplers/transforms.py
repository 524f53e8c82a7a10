"""Transform between the numbers of an interval and shares of its draws."""

from __future__ import annotations

import math
from statistics import NormalDist

from cnnsweep.samplers.space import Dimension


def share_below(dimension: Dimension, value: float) -> float:
    """Return the share (0 to 1) of all draws below a number, at which `Dimension.at` returns it.

    For a number that has a share of its own, as whole ones have, it is the middle of that.
    """
    interval = dimension.interval
    assert interval is not None
    if interval.has_places:
        return (interval.place(value) + 0.5) / interval.count
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
