"""Effect of each hyperparameter: the mean with each value, and its difference to the best value."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from cnnsweep.analysis.baseline import compare_trials, is_praised
from cnnsweep.analysis.effects import Effect, ValueEffect, best_values, effects, rest_words
from cnnsweep.analysis.intervals import ends_text
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.statistics import Difference
from cnnsweep.analysis.trials import Trial
from cnnsweep.formatting.numbers import UNKNOWN, count_text, metric_text
from cnnsweep.metrics.objective import Objective

MOST_VALUES = 8  # number of best values of one hyperparameter
MOST_HYPERPARAMETERS = 20
UNPAIRED = "~"
NONE_IS_BETTER = "No trial is better than a constant answer, so the differences show no best value."


@dataclass(frozen=True, slots=True)
class EffectRow:
    """One value of a hyperparameter.

    Attributes:
        value: the value as text; a dash for runs that do not use the hyperparameter.
        difference: to the best value; 0 for the best one, None without a mean or if `value` is a dash.
        low, high: the ends of the 95 % interval of `difference`, None if unknown.
        difference_text: the difference as text; empty without an interval.
        runs: `5 runs, 1 failed`.
        is_best: the best value or exactly equal to it; False if all values are equal.
        is_paired: the difference is between runs that are otherwise equal.
    """

    value: str
    mean: float | None
    difference: float | None
    low: float | None
    high: float | None
    difference_text: str
    runs: str
    is_best: bool
    is_paired: bool


@dataclass(frozen=True, slots=True)
class EffectGroup:
    """One hyperparameter: its best values in the order of the file; `rest` describes the omitted ones."""

    name: str
    rows: tuple[EffectRow, ...]
    spread: float | None
    rest: str


@dataclass(frozen=True, slots=True)
class EffectsChart:
    """All hyperparameters that vary, the largest effect first.

    Attributes:
        counted: the runs in the means, such as `finished runs alone`.
        diagnostic: a sentence about the largest effect.
        notes: left out hyperparameters, and the noise of seeds.
    """

    metric: str
    groups: tuple[EffectGroup, ...]
    counted: str
    diagnostic: str
    notes: tuple[str, ...]

    @property
    def rows(self) -> list[EffectRow]:
        return [row for group in self.groups for row in group.rows]

    @property
    def has_unpaired(self) -> bool:
        return not all(row.is_paired for row in self.rows)

    def legend(self, mark: str | None) -> str:
        """Return the meaning of differences, and of the mark that the renderer gives to those without pairs, if any."""
        words = "difference to the best value, with its 95 % interval, between otherwise equal runs"
        return words if mark is None else f"{words}; {mark}: not in pairs, since other hyperparameters differ"


def effects_chart(results: Results, trials: Sequence[Trial], most: int = MOST_HYPERPARAMETERS) -> EffectsChart | None:
    """Return the chart of the `most` largest effects; None if no hyperparameter has two values with a mean."""
    objective = results.sweep.objective
    found = [effect for effect in effects(results) if any(value.mean is not None for value in effect.values)]
    if all(effect.spread is None for effect in found):
        return None
    counted = "finished and stopped runs" if any(run.stop for run in results.runs) else "finished runs"
    left_out = len(found) - most
    more = f"{count_text(left_out, 'more hyperparameter')} {'makes' if left_out == 1 else 'make'} smaller differences."
    noise = noise_words(objective, trials)
    is_any_better = any(compare_trials(results, trials).values()) or is_praised(results, trials)
    return EffectsChart(
        objective.metric,
        tuple(_group(objective, effect, is_any_better) for effect in found[:most]),
        counted + (" alone" if any(run.has_failed for run in results.runs) else ""),
        _diagnostic(objective, found[0]) if is_any_better else NONE_IS_BETTER,
        (*([more] if left_out > 0 else []), *([f"{noise}."] if noise else [])),
    )


def noise_words(objective: Objective, trials: Sequence[Trial]) -> str | None:
    """Return the standard deviation of repeats: the median, since a trial near divergence is an outlier."""
    known = [trial.estimate.deviation for trial in trials if trial.estimate is not None]
    deviations = [deviation for deviation in known if deviation is not None]
    if not deviations:
        return None
    keys = [key for trial in trials for key in trial.figures]
    has_folds, has_seeds = any(fold is not None for _, fold in keys), len({seed for seed, _ in keys}) > 1
    middle, low, high = (
        metric_text(objective.metric, value) for value in (median(deviations), min(deviations), max(deviations))
    )
    over = f"; median of {count_text(len(deviations), 'trial')}, {low} to {high}" if len(deviations) > 1 else ""
    by = ("seed and fold" if has_seeds else "fold") if has_folds else "seed"
    return f"Noise: runs that differ by {by} alone have a standard deviation of {middle}{over}"


def _diagnostic(objective: Objective, largest: Effect) -> str:
    if not largest.spread:
        return "No hyperparameter makes a difference: all means are exactly equal."
    best = " and ".join(value.text for value in best_values(objective, largest))
    apart = metric_text(objective.metric, largest.spread)
    return f"{largest.name} makes the largest difference: its means lie {apart} apart, best with {best}."


def _group(objective: Objective, effect: Effect, is_any_better: bool) -> EffectGroup:
    order = objective.rank([value.mean if value.applies else None for value in effect.values])
    first, leading = effect.values[order[0]], best_values(objective, effect) if is_any_better else []
    shown, hidden = ([effect.values[n] for n in part] for part in (sorted(order[:MOST_VALUES]), order[MOST_VALUES:]))
    rows = tuple(_row(objective, value, first, any(value is one for one in leading)) for value in shown)
    return EffectGroup(effect.name, rows, effect.spread, rest_words(shown, hidden) if hidden else "")


def _row(objective: Objective, value: ValueEffect, first: ValueEffect, is_best: bool) -> EffectRow:
    found = value.difference
    apart = None
    if value.applies and value.mean is not None and first.mean is not None:
        apart = value.mean - first.mean if found is None else found.mean
    failed = f", {value.failed:,} failed" if value.failed else ""
    return EffectRow(
        value.text if value.applies else UNKNOWN,
        value.mean,
        apart,
        *(None, None) if found is None else (found.low, found.high),
        _difference_text(objective.metric, found),
        count_text(value.runs, "run") + failed + ("" if value.applies else " without"),
        is_best,
        # The best value, and values without a mean, have no pairs.
        is_paired=found is None or found.pairs is not None,
    )


def _difference_text(metric: str, found: Difference | None) -> str:
    """Return `−0.0110 (−0.0160 to −0.0060)`, with a mark if it is not in pairs; empty if unknown."""
    if found is None or found.low is None or found.high is None:
        return ""
    mean = ("" if found.mean < 0 else "+") + metric_text(metric, found.mean).replace("-", "−", 1)
    return f"{mean} ({ends_text(metric, found.low, found.high, -1.0)})" + (
        "" if found.pairs is not None else f" {UNPAIRED}"
    )
