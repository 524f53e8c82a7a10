"""Conversion between dimensions and Optuna's distributions."""

from __future__ import annotations

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from cnnsweep.samplers.space import Dimension
from cnnsweep.samplers.transforms import share_below


def distribution_of(dimension: Dimension) -> BaseDistribution:
    """Return the distribution that Optuna searches in place of a dimension.

    A choice is searched by index, a stepped interval by place (so no step is ever missed by a rounding error), a
    normal one by the share of draws below; the others are searched as they are.
    """
    interval = dimension.interval
    if interval is None:
        assert dimension.options is not None
        return CategoricalDistribution(tuple(range(dimension.options)))
    if interval.has_places:
        return IntDistribution(0, int(interval.count) - 1)
    if interval.is_whole:
        return IntDistribution(int(interval.low), int(interval.high), log=True)
    if interval.kind == "normal":
        return FloatDistribution(0.0, 1.0)
    return FloatDistribution(interval.low, interval.high, log=interval.is_log)


def encode(dimension: Dimension, value: float | int) -> float | int:
    """Return Optuna's value for an index or a number; a number outside the interval counts as its end."""
    interval = dimension.interval
    if interval is None:
        return int(value)
    if interval.has_places:
        return interval.place(value)
    if interval.kind == "normal":
        return share_below(dimension, value)
    inside = min(max(value, interval.low), interval.high)
    return int(inside) if interval.is_whole else float(inside)


def decode(dimension: Dimension, code: float | int) -> float | int:
    """Return the index or number for a value of Optuna's, rounded as all numbers of the interval are."""
    interval = dimension.interval
    if interval is None:
        return int(code)
    if interval.has_places:
        return interval.at_place(int(code))
    if interval.kind == "normal":
        return dimension.at(float(code))
    return interval.nearest(code)
