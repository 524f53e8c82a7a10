"""Texts of means and their intervals, which are cut to the range of the metric."""

from collections.abc import Sequence

from cnnsweep.analysis.statistics import Estimate
from cnnsweep.formatting.numbers import UNKNOWN, metric_text
from cnnsweep.metrics.names import range_of


def within(metric: str, value: float, least: float = 0.0) -> float:
    """Return an end of an interval, moved into the range of the metric: a share ends at 0 and at 1.

    Args:
        least: 0, or -1 for a difference, which may be as large as the range on both sides.
    """
    low, high = range_of(metric)
    if least < 0:
        low, high = low - high, high - low
    return min(max(value, low), high)


def ends_text(metric: str, low: float, high: float, least: float = 0.0) -> str:
    """Return `0.4100 to 0.5300`, with a true minus sign."""
    ends = [metric_text(metric, within(metric, value, least)).replace("-", "−", 1) for value in (low, high)]
    return f"{ends[0]} to {ends[1]}"


def mean_text(metric: str, found: Estimate | None) -> str:
    """Return `0.4700 ± 0.0600 (95 %)`, or `0.6300 (95 % 0.0000 to 1.0000)` if ± would exceed the possible range."""
    mean = metric_text(metric, None if found is None else found.mean)
    if found is None or found.low is None or found.high is None or found.half is None:
        return mean
    if _is_possible(metric, found):
        return f"{mean} ± {metric_text(metric, found.half)} (95 %)"
    return f"{mean} (95 % {ends_text(metric, found.low, found.high)})"


def interval_cells(metric: str, estimates: Sequence[Estimate | None]) -> list[str]:
    """Return the intervals for one column of a table, all as `± 0.0600`, or all by their ends if ± would mislead."""
    known = [found for found in estimates if found is not None and found.low is not None]
    are_possible = all(_is_possible(metric, found) for found in known)
    cells = []
    for found in estimates:
        if found is None or found.low is None or found.high is None:
            cells.append(UNKNOWN)
        elif are_possible:
            cells.append(f"± {metric_text(metric, found.half)}")
        else:
            # A wide interval needs no fourth decimal.
            ends = [f"{within(metric, value):.3f}" for value in (found.low, found.high)]
            cells.append(f"{ends[0]}..{ends[1]}")
    return cells


def _is_possible(metric: str, found: Estimate) -> bool:
    return all(value is None or within(metric, value) == value for value in (found.low, found.high))
