"""Parallel coordinates: each trial as a line through its hyperparameters to its metric."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cnnsweep.analysis.axes import MANY_VALUES, canonical, in_file_order, is_number, levels_of, trial_axes
from cnnsweep.analysis.baseline import is_praised
from cnnsweep.analysis.importance import LOG_SPAN
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.trials import Trial, all_words
from cnnsweep.formatting.distinct import number_texts
from cnnsweep.formatting.numbers import count_text, is_unused

MOST_LINES = 400
ALWAYS_SHOWN = 100  # number of best trials; of the others every n-th is drawn
MOST_HYPERPARAMETERS = 14
MOST_TICKS = 20  # limit of values that are not numbers
TICKS = 5
UNUSED_AT = -0.12  # below the axis, for trials that do not use it


@dataclass(frozen=True, slots=True)
class ParallelAxis:
    """One hyperparameter, or the metric: the position of each trial, from 0 to 1, and the ticks with their texts."""

    name: str
    places: tuple[float, ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class ParallelChart:
    """The lines of the best trials and of a part of the others, the best first.

    Attributes:
        axes: the hyperparameters in the order of the file, and the metric.
        words: each trial in words.
        means: the mean of the metric for each trial.
        goodness: rank of each trial, from 0 (worst) to 1, which sets its colour.
        low, high: the ends of the colour scale.
    """

    metric: str
    mode: str
    axes: tuple[ParallelAxis, ...]
    words: tuple[str, ...]
    means: tuple[float, ...]
    low: float
    high: float
    diagnostic: str
    notes: tuple[str, ...]

    @property
    def goodness(self) -> list[float]:
        if self.high <= self.low:
            return [1.0] * len(self.means)
        shares = [min(max((mean - self.low) / (self.high - self.low), 0.0), 1.0) for mean in self.means]
        return shares if self.mode == "max" else [1 - share for share in shares]

    @property
    def has_unused(self) -> bool:
        return any(UNUSED_AT in axis.places for axis in self.axes)


def parallel_chart(results: Results, trials: Sequence[Trial]) -> ParallelChart | None:
    """Return the chart; None with fewer than two trials that have a mean, or without a varying hyperparameter."""
    placed = [trial for trial in trials if trial.estimate is not None]
    names = trial_axes(results)
    if len(placed) < 2 or not names:
        return None
    shown = _thinned(placed)
    means = tuple(trial.estimate.mean for trial in shown if trial.estimate is not None)
    objective = results.sweep.objective
    low, high = _limits(means, objective.mode)
    axes = [_axis(results, name, shown) for name in names[:MOST_HYPERPARAMETERS]]
    axes.append(_number_axis(objective.metric, means, False, low, high))
    words = tuple(all_words(results, shown, ", "))
    is_thinned = len(shown) < len(placed)
    drawn = f" Of {len(placed):,} trials {len(shown):,} are drawn, the best among them." if is_thinned else ""
    more = len(names) - MOST_HYPERPARAMETERS
    has = "has" if more == 1 else "have"
    notes = (f"{count_text(more, 'more hyperparameter')} {has} no room.",) if more > 0 else ()
    diagnostic = f"The {'best' if is_praised(results, trials) else 'first'} is {words[0]}.{drawn}"
    return ParallelChart(objective.metric, objective.mode, tuple(axes), words, means, low, high, diagnostic, notes)


def _thinned(placed: Sequence[Trial]) -> Sequence[Trial]:
    if len(placed) <= MOST_LINES:
        return placed
    rest = placed[ALWAYS_SHOWN:]
    return [*placed[:ALWAYS_SHOWN], *rest[:: math.ceil(len(rest) / (MOST_LINES - ALWAYS_SHOWN))]]


def _limits(means: Sequence[float], mode: str) -> tuple[float, float]:
    """Return the ends of the colour scale, without a bad tail that would flatten the other colours."""
    ordered = sorted(means)
    tail = len(ordered) // 10
    low, high = (ordered[tail], ordered[-1]) if mode == "max" else (ordered[0], ordered[-1 - tail])
    return (low, high) if low < high else (ordered[0], ordered[-1])


def _axis(results: Results, name: str, trials: Sequence[Trial]) -> ParallelAxis:
    values = [trial.params.get(name) for trial in trials]
    used = [value for value in values if not is_unused(name, value)]
    numbers: list[float] = [value for value in used if value is not None and is_number(value)]
    if len(numbers) == len(used) and len(set(numbers)) > MANY_VALUES:
        low, high = min(numbers), max(numbers)
        return _number_axis(name, values, 0 < low <= high / LOG_SPAN, low, high)
    levels = levels_of(name, in_file_order(results, [trial.runs[0] for trial in trials]))
    kept = [n for n, value in enumerate(levels.values) if not is_unused(name, value)]
    place = {n: (k + 0.5) / len(kept) for k, n in enumerate(kept)}
    places = (place.get(levels.of[canonical(trial.runs[0].params[name])], UNUSED_AT) for trial in trials)
    ticks = ((place[n], levels.texts[n]) for n in kept[:: math.ceil(len(kept) / MOST_TICKS) or 1])
    return ParallelAxis(name, tuple(places), tuple(ticks))


def _number_axis(name: str, values: Sequence[float | None], is_log: bool, low: float, high: float) -> ParallelAxis:
    def place(value: float) -> float:
        if high == low:
            return 0.5
        if is_log:
            return math.log(value / low) / math.log(high / low)
        return min(max((value - low) / (high - low), 0.0), 1.0)

    shares = [part / (TICKS - 1) for part in range(TICKS)] if high > low else [0.5]
    ends = [low * (high / low) ** share if is_log else low + (high - low) * share for share in shares]
    ticks = tuple(zip(shares, number_texts(ends, 3), strict=True))
    return ParallelAxis(name, tuple(UNUSED_AT if value is None else place(value) for value in values), ticks)
