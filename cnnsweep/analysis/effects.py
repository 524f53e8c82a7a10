"""The effect of each hyperparameter on the sweep's metric: means, and differences between matched runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from cnnsweep.analysis.axes import canonical, levels_of, trial_axes
from cnnsweep.analysis.results import Results, RunResult
from cnnsweep.analysis.statistics import Difference, difference
from cnnsweep.analysis.trials import fold_overlap
from cnnsweep.formatting.numbers import is_unused
from cnnsweep.metrics.objective import Objective

Block = tuple[Any, ...]  # everything that two runs must share to be compared
Figures = Mapping[Block, Sequence[tuple[RunResult, float]]]


@dataclass(frozen=True, slots=True)
class ValueEffect:
    """The runs with one value (or bin) of a hyperparameter.

    Attributes:
        value: as in JSON; for a bin the text of its ends.
        text: the value for display; no two of one hyperparameter are alike.
        mean: the mean of the sweep's metric; None if no run has a value.
        runs: number of runs in the mean: finished or stopped early.
        failed: number of diverged or failed runs, which are not in the mean.
        difference: this mean minus the best value's; None for the best itself and without a mean.
        applies: False for runs that do not use the hyperparameter. They chose no value, so they count neither as the
            best nor in the spread, and come last.
    """

    value: Any
    mean: float | None
    runs: int
    failed: int
    difference: Difference | None = None
    applies: bool = True
    text: str = ""


@dataclass(frozen=True, slots=True)
class Effect:
    """Differences of the metric's mean between the values of one hyperparameter.

    A main effect in the sense of a factorial design. The means are fair if every combination was trained, as in a grid;
    if runs failed or combinations are missing, other hyperparameters bias them. Paired differences are fair in both
    cases: they compare runs that are otherwise equal, seed and fold included.
    """

    name: str
    values: tuple[ValueEffect, ...]  # numbers ascending, other values in the order of the file
    spread: float | None  # largest mean minus smallest, of values that apply; None with fewer than two means


def effects(results: Results) -> list[Effect]:
    """Return the effect of each varying hyperparameter, the largest spread first, unknown ones last.

    The seed is excluded if it makes replicates. With k-fold the intervals of differences are widened like those of
    means, so they are cautious if several trials are averaged.
    """
    blocks = _blocks(results)
    found = [_effect(results, axis, blocks[axis]) for axis in trial_axes(results)]
    found = [effect for effect in found if sum(value.applies for value in effect.values) > 1]
    return sorted(found, key=lambda effect: (effect.spread is None, -(effect.spread or 0.0)))


def best_values(objective: Objective, effect: Effect) -> list[ValueEffect]:
    """Return the values with exactly the best mean; none if all values are equal."""
    known = [value for value in effect.values if value.applies and value.mean is not None]
    if not effect.spread:
        return []
    first = known[objective.rank([value.mean for value in known])[0]]
    return [value for value in known if value.mean == first.mean]


def rest_words(shown: Sequence[ValueEffect], hidden: Sequence[ValueEffect]) -> str:
    """Return the line for the values that a list of the best omits: `… 3 worse`."""
    least, rest = {value.mean for value in shown}, {value.mean for value in hidden}
    how = "equal" if least == rest and len(rest) == 1 else "worse" if not least & rest else "no better"
    return f"… {len(hidden):,} {how}"


def compare_values(results: Results, name: str, first: Any, second: Any) -> Difference | None:
    """Return the lead of the runs with one value of a hyperparameter over those with another; None without values."""
    blocks = _blocks(results)[name]
    wanted = (canonical(first), canonical(second))
    sides = [
        _figures(
            results.sweep.objective,
            [
                (run, block)
                for run, block in zip(results.runs, blocks, strict=True)
                if canonical(run.params[name]) == side
            ],
        )
        for side in wanted
    ]
    return _difference(sides[0], sides[1], fold_overlap(results)) if all(sides) else None


def _blocks(results: Results) -> dict[str, list[Block]]:
    """Return, by axis, everything else about each run."""
    axes = results.sweep.axes
    codes = [(*(canonical(run.params[axis]) for axis in axes), run.fold) for run in results.runs]
    return {axis: [code[:n] + code[n + 1 :] for code in codes] for n, axis in enumerate(axes)}


def _effect(results: Results, axis: str, blocks: Sequence[Block]) -> Effect:
    objective = results.sweep.objective
    levels = levels_of(axis, results.runs)
    members: list[list[tuple[RunResult, Block]]] = [[] for _ in levels.values]
    for run, block in zip(results.runs, blocks, strict=True):
        members[levels.of[canonical(run.params[axis])]].append((run, block))
    figures = [_figures(objective, part) for part in members]
    means = [fmean(found for part in by.values() for _, found in part) if by else None for by in figures]
    applies = [not is_unused(axis, value) for value in levels.values]
    best = next((n for n in objective.rank(means) if applies[n]), -1)
    overlap = fold_overlap(results)
    values = tuple(
        ValueEffect(
            value,
            means[n],
            sum(map(len, figures[n].values())),
            sum(run.has_failed for run, _ in members[n]),
            None if n == best or not (figures[n] and applies[n]) else _difference(figures[n], figures[best], overlap),
            applies[n],
            levels.texts[n],
        )
        for n, value in enumerate(levels.values)
    )
    known = [mean for mean, counts in zip(means, applies, strict=True) if mean is not None and counts]
    values = tuple(sorted(values, key=lambda value: not value.applies))  # stable
    return Effect(axis, values, max(known) - min(known) if len(known) > 1 else None)


def _difference(first: Figures, second: Figures, overlap: float) -> Difference:
    """Return the lead of the first's runs over the second's: in pairs if two can be matched, else by trial.

    Several runs of one block, as in a bin of several values, count by their mean. Unpaired, a trial counts once, by the
    mean of its replicates: they share all hyperparameters, so they are not independent evidence.
    """
    blocks = [{block: fmean(figure for _, figure in part) for block, part in side.items()} for side in (first, second)]
    if len(blocks[0].keys() & blocks[1].keys()) >= 2:
        return difference(blocks[0], blocks[1], overlap)
    trials = [_by_setting(side) for side in (first, second)]
    return difference(trials[0], trials[1], overlap)


def _by_setting(figures: Figures) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for part in figures.values():
        for run, figure in part:
            found.setdefault(run.trial_id, []).append(figure)
    return {trial_id: fmean(values) for trial_id, values in found.items()}


def _figures(objective: Objective, runs: Sequence[tuple[RunResult, Block]]) -> Figures:
    """Return the values of complete runs by block, the hyperparameters that they share with others."""
    found: dict[Block, list[tuple[RunResult, float]]] = {}
    for run, block in runs:
        figure = run[objective.metric]
        if run.is_complete and figure is not None:
            found.setdefault(block, []).append((run, figure))
    return found
