"""Importance of each hyperparameter, and of each pair, for the sweep's metric."""

import importlib.util
import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from cnnsweep.analysis.axes import MANY_VALUES, Levels, canonical, is_number, levels_of, trial_axes
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.statistics import Estimate
from cnnsweep.analysis.summary import sort_key
from cnnsweep.analysis.trials import Trial
from cnnsweep.formatting.numbers import is_unused

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

NEEDS_OPTUNA = "importance needs Optuna: pip install 'cnnsweep[search]'"
FEWEST_TRIALS = 10  # with fewer, the effects are obvious one by one
TRIALS_PER_AXIS = 10  # with fewer, importance is a guess
MOST_TRIALS = 2000  # more make it slower, not better
BEST_SHARE, FEWEST_BEST = 0.1, 5  # good trials: the best tenth, but at least five
LOG_SPAN = 100  # ratio from which a positive axis is taken by its logarithm
_CLOSE_ENOUGH = 1e-12
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Interaction:
    """Interaction: dependence of one hyperparameter's effect on another.

    Attributes:
        share: the part of the variance of the cells' means that the two main effects leave unexplained, 0 to 1. The
            average contribution of noise is subtracted, as far as replicates or several trials per cell show it.
        cells: number of combinations of values (or bins) with trials, out of `possible`.
        per_cell: trials in a cell, on average.
    """

    first: str
    second: str
    share: float
    cells: int
    possible: int
    per_cell: float


def importance(results: Results, trials: Sequence[Trial]) -> dict[str, float] | None:
    """Return the share of each hyperparameter in the difference between good trials and the rest; they sum to 1.

    By PED-ANOVA (Watanabe, Bansal and Hutter, 2023) as Optuna has it, on the trials' means: how differently the
    best tenth of the trials is distributed along each axis. Texts, lists, truth values and axes of few numbers are
    categories; others are numbers, by their logarithm if they span two decades. Trials that do not use an axis are
    spread evenly over its values, so that they have no influence on it.

    Returns:
        None if Optuna is not installed; empty with fewer than two axes or `FEWEST_TRIALS` trials, or if all trials are
        equally good.
    """
    known = _thinned([trial for trial in trials if trial.estimate is not None])
    axes = [axis for axis in trial_axes(results) if len({canonical(v) for v in _used(axis, known)}) > 1]
    figures = [trial.estimate.mean for trial in known if trial.estimate is not None]
    if len(axes) < 2 or len(known) < FEWEST_TRIALS or min(figures) == max(figures):
        return {}
    if importlib.util.find_spec("optuna") is None:
        return None
    import optuna

    columns = {axis: _parameter(_filled(axis, [trial.params.get(axis) for trial in known])) for axis in axes}
    distributions = {axis: distribution for axis, (distribution, _) in columns.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental features differ between versions
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.CRITICAL)
        try:
            study = optuna.create_study(direction="maximize" if results.sweep.objective.mode == "max" else "minimize")
            study.add_trials(
                optuna.trial.create_trial(
                    params={axis: values[n] for axis, (_, values) in columns.items()},
                    distributions=distributions,
                    value=figure,
                )
                for n, figure in enumerate(figures)
            )
            evaluator = optuna.importance.PedAnovaImportanceEvaluator(
                target_quantile=min(max(BEST_SHARE, FEWEST_BEST / len(known)), 0.5)
            )
            found = optuna.importance.get_param_importances(study, evaluator=evaluator)
        finally:
            optuna.logging.set_verbosity(before)
    # Rounded, so that shares equal up to rounding are always in the order of the file.
    return dict(sorted(found.items(), key=lambda item: (-round(item[1], 9), axes.index(item[0]))))


def _thinned(trials: Sequence[Trial]) -> Sequence[Trial]:
    """Return an evenly spaced sample of too many ranked trials; good and bad ones keep their shares."""
    return trials if len(trials) <= MOST_TRIALS else trials[:: math.ceil(len(trials) / MOST_TRIALS)]


def _used(axis: str, trials: Sequence[Trial]) -> list[Any]:
    """Return an axis's values in the trials that use it."""
    values = [trial.params.get(axis) for trial in trials]
    return [value for value in values if not is_unused(axis, value)]


def _filled(axis: str, values: Sequence[Any]) -> list[Any]:
    """Return the values of ranked trials, those that do not use the axis spread over the values of the others.

    A separate value "does not apply" would measure the trials that lack the axis, which is the importance of the
    parameter that it depends on. Steps by the golden ratio cover all values evenly along the ranking.
    """
    used = sorted((value for value in values if not is_unused(axis, value)), key=sort_key)
    count = itertools.count(1)
    return [used[int(next(count) * _GOLDEN % 1 * len(used))] if is_unused(axis, v) else v for v in values]


def _parameter(values: Sequence[Any]) -> tuple["BaseDistribution", list[Any]]:
    """Return an axis in Optuna's form: its distribution, and one value per trial."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if all(map(is_number, values)) and len(set(values)) > MANY_VALUES:
        numbers = [float(value) for value in values]
        low, high = min(numbers), max(numbers)
        return FloatDistribution(low, high, log=0 < low <= high / LOG_SPAN), numbers
    texts = [canonical(value) for value in values]
    return CategoricalDistribution(tuple(dict.fromkeys(texts))), texts


def interactions(results: Results, trials: Sequence[Trial]) -> list[Interaction]:
    """Return the pairs of hyperparameters that interact, the strongest first.

    An additive model (one effect for each value of either, by least squares) is fitted to the mean of each combination
    with trials. Numbers of many values are binned. A pair is omitted if the model has as many effects as there are
    cells, so that it would fit anything, or if cells do not differ. Trials that do not use one of the two are omitted:
    they hold no evidence of an interaction.
    """
    known = [trial for trial in trials if trial.estimate is not None]
    runs = [trial.runs[0] for trial in known]
    levels = [levels_of(axis, runs, always=True) for axis in trial_axes(results)]
    is_drawn = results.sweep.search is not None and results.sweep.search.get("method") != "grid"
    found = [_interaction(a, b, known, is_drawn) for a, b in itertools.combinations(levels, 2)]
    return sorted((pair for pair in found if pair is not None and pair.share > 0), key=lambda pair: -pair.share)


def estimates_by_cell(first: Levels, second: Levels, trials: Sequence[Trial]) -> dict[tuple[int, int], list[Estimate]]:
    """Return the estimates of the trials in each combination of two hyperparameters' levels that has trials.

    Trials that do not use one of the two, or have no value, are omitted.
    """
    cells: dict[tuple[int, int], list[Estimate]] = {}
    for trial in trials:
        values = [trial.runs[0].params[axis.name] for axis in (first, second)]
        if trial.estimate is None or is_unused(first.name, values[0]) or is_unused(second.name, values[1]):
            continue
        cell = (first.of[canonical(values[0])], second.of[canonical(values[1])])
        cells.setdefault(cell, []).append(trial.estimate)
    return cells


def _interaction(first: Levels, second: Levels, trials: Sequence[Trial], is_drawn: bool) -> Interaction | None:
    estimates = estimates_by_cell(first, second, trials)
    cells = {cell: [found.mean for found in part] for cell, part in estimates.items()}
    # Squared errors of the trials' means, if they have replicates.
    errors = [
        found.deviation**2 / found.count for part in estimates.values() for found in part if found.deviation is not None
    ]
    means = {cell: fmean(figures) for cell, figures in cells.items()}
    if not means or len(means) <= len({row for row, _ in means}) + len({column for _, column in means}) - 1:
        return None
    share = unexplained(means)
    if share is None:
        return None
    # In a search, all other hyperparameters differ within a cell; in a grid they are the same in every cell.
    noise = _within(cells) if is_drawn else fmean(errors) if errors else 0.0
    freedom = len(means) - len({row for row, _ in means}) - len({column for _, column in means}) + 1
    total = math.fsum((value - fmean(means.values())) ** 2 for value in means.values())
    by_chance = freedom * noise * fmean(1 / len(figures) for figures in cells.values())
    share = max(share - by_chance / total, 0.0)
    possible = math.prod(sum(not is_unused(axis.name, v) for v in axis.values) for axis in (first, second))
    per_cell = sum(map(len, cells.values())) / len(means)
    return Interaction(first.name, second.name, share, len(means), possible, per_cell)


def _within(cells: Mapping[tuple[int, int], Sequence[float]]) -> float:
    """Return the variance of values within their cells, 0 if no cell has two."""
    squares = math.fsum((value - fmean(values)) ** 2 for values in cells.values() for value in values)
    freedom = sum(len(values) - 1 for values in cells.values())
    return squares / freedom if freedom else 0.0


def unexplained(cells: Mapping[tuple[int, int], float]) -> float | None:
    """Return the share of the variance between cells that row and column effects leave; None if there is none.

    Alternating least squares: each pass subtracts the mean residual of every row, then of every column, until the
    squares no longer shrink. With all cells present, the first pass is exact.
    """
    middle = fmean(cells.values())
    left = {cell: value - middle for cell, value in cells.items()}
    total = math.fsum(value**2 for value in left.values())
    if total <= (_CLOSE_ENOUGH * (abs(middle) + 1)) ** 2 * len(cells):
        return None
    before = total
    for _ in range(200):
        for side in (0, 1):
            lines: dict[int, list[float]] = {}
            for cell, value in left.items():
                lines.setdefault(cell[side], []).append(value)
            means = {line: fmean(values) for line, values in lines.items()}
            left = {cell: value - means[cell[side]] for cell, value in left.items()}
        rest = math.fsum(value**2 for value in left.values())
        if before - rest <= 1e-9 * total:
            break
        before = rest
    share = rest / total
    return share if share > _CLOSE_ENOUGH else 0.0
