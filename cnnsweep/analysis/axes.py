"""The varying hyperparameters of a sweep and their values, with bins for numbers drawn by a search."""

import bisect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnsweep.analysis.results import Results, RunResult
from cnnsweep.formatting.distinct import distinct_texts, number_texts
from cnnsweep.formatting.numbers import is_unused

MANY_VALUES = 8  # above this number, a numeric axis may be shown in bins
BINS = 4
BIN_DIGITS = 3
REPLICATE_AXES = ("seed", "fold")


@dataclass(frozen=True, slots=True)
class Levels:
    """The values of one axis, or its bins.

    Attributes:
        values: one for each level, as in JSON; for bins the text of their ends. Numbers ascend, others are as in the
            file; the value of runs that do not use the hyperparameter comes last.
        texts: the values for display; no two are alike.
        of: the level of each value as a position in `values`, by `canonical` text.
        is_binned: several values share a level.
    """

    name: str
    values: tuple[Any, ...]
    texts: tuple[str, ...]
    of: Mapping[str, int]
    is_binned: bool


def canonical(value: Any) -> str:
    """Return a text that is equal for equal values only; fast for the most common values."""
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    return json.dumps(value, sort_keys=True)


def has_replicates(results: Results) -> bool:
    """True if a trial of the sweep has more than one run."""
    return len({run.trial_id for run in results.runs}) < len(results.runs)


def trial_axes(results: Results) -> tuple[str, ...]:
    """Return the axes in which trials differ, without seed and fold if they make repeats."""
    if not has_replicates(results):
        return results.sweep.axes
    return tuple(axis for axis in results.sweep.axes if axis not in REPLICATE_AXES)


def is_number(value: Any) -> bool:
    """True for numbers, not for booleans, which Python counts as numbers."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def levels_of(name: str, runs: Sequence[RunResult], always: bool = False) -> Levels:
    """Return the values of a hyperparameter, in bins if they are many numbers.

    Bins are by quartiles of the trials' values, so each holds about the same number of trials. More than `MANY_VALUES`
    numbers are binned if more than half of the trials have distinct values, as in a search; with `always`, in any case.

    Args:
        runs: in the file's order, independent of the order of display; see `in_file_order`.
    """
    values: dict[str, Any] = {}
    trial_ids: dict[str, set[str]] = {}
    for run in runs:
        text = canonical(run.params[name])
        values.setdefault(text, run.params[name])
        trial_ids.setdefault(text, set()).add(run.trial_id)
    numbers = sorted({value for value in values.values() if is_number(value)})
    others = [text for text, value in values.items() if not is_number(value)]
    trials = len({run.trial_id for run in runs})
    if len(numbers) > MANY_VALUES and (always or len(numbers) > trials / 2):
        weights = [len(trial_ids[text]) for text, value in values.items() if is_number(value)]
        spread = sorted(
            number
            for weight, number in zip(weights, (v for v in values.values() if is_number(v)), strict=True)
            for _ in range(weight)
        )
        return _binned(name, values, numbers, spread, others)
    used = [text for text, value in values.items() if not is_unused(name, value)]
    if all(isinstance(values[text], int | float) for text in used):
        used.sort(key=lambda text: (isinstance(values[text], bool), values[text]))
    order = [*used, *(values.keys() - set(used))]  # constants, of which there is one or none
    ordered = tuple(values[text] for text in order)
    return Levels(name, ordered, tuple(distinct_texts(ordered)), {text: n for n, text in enumerate(order)}, False)


def in_file_order(results: Results, runs: Iterable[RunResult]) -> list[RunResult]:
    """Return runs in the order of the file: values of ranked trials would follow the ranking."""
    names = {run.name for run in runs}
    return [run for run in results.runs if run.name in names]


def _binned(
    name: str, values: Mapping[str, Any], numbers: Sequence[float], spread: Sequence[float], others: Sequence[str]
) -> Levels:
    # The first value of each bin but the lowest; equal values share a bin.
    starts = sorted({spread[len(spread) * part // BINS] for part in range(1, BINS)} - {numbers[0]})
    bins: list[list[float]] = [[] for _ in range(len(starts) + 1)]
    for number in numbers:
        bins[bisect.bisect_right(starts, number)].append(number)
    labels = _bin_texts(bins)
    of = {text: bisect.bisect_right(starts, value) for text, value in values.items() if is_number(value)}
    of |= {text: len(labels) + position for position, text in enumerate(others)}
    rest = [values[text] for text in others]
    return Levels(name, (*labels, *rest), (*labels, *distinct_texts(rest)), of, True)


def _bin_texts(bins: Sequence[Sequence[float]]) -> list[str]:
    """Return `0.01 to 0.03` for each bin, or its only value, with enough digits for all ends to differ."""
    ends = [end for part in bins for end in (part[0], part[-1])]
    written = dict(zip(ends, number_texts(ends, BIN_DIGITS), strict=True))
    exact = dict(zip(ends, distinct_texts(ends), strict=True))
    return [exact[part[0]] if len(part) == 1 else f"{written[part[0]]} to {written[part[-1]]}" for part in bins]
