"""Comparison of sweeps: trials ranked across them, shared trials, and the differences of their set-ups.

Pure functions of the sweeps that `compare_sources` read.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from cnnsweep.analysis.axes import REPLICATE_AXES, canonical
from cnnsweep.analysis.baseline import compare_trials
from cnnsweep.analysis.compare_classes import ClassComparison, compare_classes
from cnnsweep.analysis.compare_differences import (
    Distinction,
    choice_warnings,
    distinctions,
    image_warnings,
    same_text,
    scope_words,
)
from cnnsweep.analysis.compare_sources import Source, load_sources
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.statistics import Difference, difference
from cnnsweep.analysis.trials import Trial, fold_overlap, group_trials, order_settings
from cnnsweep.errors import UsageError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.metrics.names import CHOICES, is_on_validation, meant_column
from cnnsweep.metrics.objective import Objective, default_mode
from cnnsweep.optimizers.base import FLAT, OPTIMIZERS
from cnnsweep.plugins import is_reference

Key = tuple[int, str, int | None]  # split, seed and fold: equal keys mean the same images


@dataclass(frozen=True, slots=True)
class RankedTrial:
    """One combination of hyperparameters of one sweep.

    Attributes:
        values: its hyperparameters by key, without the seed. Defaults are included if another sweep has the key as a
            column. Keys that the trial does not use are omitted.
        trial: with its place and ties across all sweeps.
        figures: values of the metric, by split, seed and fold.
        is_better: than a constant answer; None if that is unknown.
    """

    source: Source
    trial: Trial
    values: Mapping[str, Any]
    figures: Mapping[Key, float]
    is_better: bool | None = None


@dataclass(frozen=True, slots=True)
class SharedTrial:
    """A trial that two sweeps share, and the second's lead over the first.

    `are_identical`: all common repeats agree to the last bit.
    """

    first: RankedTrial
    second: RankedTrial
    difference: Difference
    are_identical: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of several sweeps.

    Attributes:
        trials: of all sweeps, best first; trials with a failed run after the others, trials without a value last.
        axes: keys of `RankedTrial.values` that vary within a sweep or between them.
        shared: pairs of equal trials, the second's sweep behind the first's; both have values.
        warnings: reasons why ranks across the sweeps may mislead.
        classes: recall by class of the best runs of two sweeps; None if not both were measured alike.
    """

    objective: Objective
    sources: tuple[Source, ...]
    trials: tuple[RankedTrial, ...]
    axes: tuple[str, ...]
    shared: tuple[SharedTrial, ...]
    distinctions: tuple[Distinction, ...]
    warnings: tuple[str, ...]
    classes: ClassComparison | None = None


def compare_sweeps(paths: Sequence[Path], metric: str | None = None) -> Comparison:
    """Read sweeps and compare them.

    Args:
        paths: of two sweeps or more, folders or results files.
        metric: the metric to rank by; None for their common one.

    Raises:
        UsageError: fewer than two sweeps, one of them twice, or no metric in common and none given.
        ResultsError: a results file is missing or damaged.
    """
    sources = load_sources(paths)
    if metric is None:
        return compare(sources)
    known = _recorded(sources)
    measured = {name for name in known if any(run[name] is not None for one in sources for run in one.results.runs)}
    if (column := meant_column(metric, known, measured)) is None:
        raise UsageError(f"--metric: found '{safe_text(metric)}', allowed are {', '.join(known)}")
    return compare(sources, column)


def compare(sources: Sequence[Source], metric: str | None = None) -> Comparison:
    """Return the comparison of sweeps; see `compare_sweeps`."""
    objective = _common_objective(sources, metric)
    trials = _rank(_all_settings(sources, objective), objective)
    return Comparison(
        objective,
        tuple(sources),
        trials,
        _axes(trials),
        _shared(sources, trials),
        distinctions(sources),
        _warnings(sources, trials, objective),
        _classes(sources),
    )


def _classes(sources: Sequence[Source]) -> ClassComparison | None:
    measured = [source.evaluation for source in sources if source.evaluation is not None]
    return compare_classes(*measured) if len(measured) == len(sources) == 2 else None


def _recorded(sources: Sequence[Source]) -> tuple[str, ...]:
    """Return all metrics of the sweeps, the usual choice first."""
    return tuple(dict.fromkeys([*CHOICES, *(name for source in sources for name in source.results.sweep.recorded)]))


def _common_objective(sources: Sequence[Source], metric: str | None) -> Objective:
    own = [source.results.sweep.objective for source in sources]
    if metric is None and len(set(own)) > 1:
        each = "; ".join(
            f"{source.letter} ({safe_text(source.path)}) by {one.metric}, {one.mode}, {scope_words(one.scope)}"
            for source, one in zip(sources, own, strict=True)
        )
        raise UsageError(
            f"compare: the sweeps do not rank by the same metric: {each}. "
            f"Choose one for all with --metric val_accuracy (allowed: {', '.join(_recorded(sources))})"
        )
    if metric is None or all(one.metric == metric and one.mode == own[0].mode for one in own):
        return own[0]
    known = [one for source in sources for one in source.results.sweep.metrics]
    return Objective(metric, default_mode(metric, known), own[0].scope)


# Trials, ranked.


def _all_settings(sources: Sequence[Source], objective: Objective) -> list[RankedTrial]:
    keys = list(dict.fromkeys(key for source in sources for key in source.results.sweep.hyperparameters))
    knows_models = _knows_models(sources)
    splits: dict[Any, int] = {}
    found = []
    for source in sources:
        split = splits.setdefault(_split(source) or source.letter, len(splits))
        results = by_metric(source.results, objective)
        trials = group_trials(results)
        is_better = compare_trials(results, trials)
        for trial in trials:
            values, figures = _values(source, trial, keys, knows_models), _figures(source, trial, split)
            found.append(RankedTrial(source, trial, values, figures, is_better.get(trial.trial_id)))
    return found


def by_metric(results: Results, objective: Objective) -> Results:
    """Return results ranked by this metric."""
    sweep = dataclasses.replace(results.sweep, metric=objective.metric, mode=objective.mode)
    return dataclasses.replace(results, sweep=sweep)


def _split(source: Source) -> tuple[str | float | None, ...] | None:
    """Return the values that determine the held-out images, or None where the data's hash is unknown."""
    sweep = source.results.sweep
    return None if source.fingerprint is None else (source.fingerprint, sweep.validation, sweep.folds, sweep.seed)


def _figures(source: Source, trial: Trial, split: int) -> dict[Key, float]:
    """Return a trial's values by split, seed and fold; by the sweep's seed if it has no other."""
    ids = {run.id for run in trial.runs}
    figures: dict[Key, float] = {}
    for (seed, fold), figure in trial.figures.items():
        key = (split, canonical(source.results.sweep.seed) if seed in ids else seed, fold)
        figures[key if key not in figures else (split, seed, fold)] = figure
    return figures


def _knows_models(sources: Sequence[Source]) -> bool:
    """True if the arguments of all sweeps' models are known; otherwise they cannot be compared."""
    return all(source.spec is not None for source in sources)


def _values(source: Source, trial: Trial, keys: Iterable[str], knows_models: bool) -> dict[str, Any]:
    """Return a trial's hyperparameters in a form that can be compared between sweeps."""
    own = source.results.sweep.hyperparameters
    values = {key: value for key, value in trial.params.items() if value is not None}
    optimizer = values.get("optimizer", source.defaults.get("optimizer"))
    for key in keys:
        if key not in own:
            default = _default(source, key, optimizer)
            values |= {} if default is None else {key: default}
    model = values.pop("model", None)
    if model is None:
        known = _model(source) if knows_models else {"name": source.results.sweep.model}
        model = {part: value for part, value in known.items() if value not in (None, "")}
    elif not isinstance(model, Mapping):
        model = {"name": model}
    parts = {"model" if part == "name" else f"model.{part}": value for part, value in model.items()}
    return {key: value for key, value in {**parts, **values}.items() if key not in REPLICATE_AXES}


def _model(source: Source) -> dict[str, Any]:
    """Return the model of all runs of a sweep, with its arguments if the sweep file has them."""
    spec = source.spec or {}
    arguments = {key.removeprefix("model."): value for key, value in spec.items() if key.startswith("model.")}
    # By the name in the results: the file has the folders of custom code, which differ between machines.
    return {**arguments, "name": source.results.sweep.model}


def _default(source: Source, key: str, optimizer: Any) -> Any:
    if key not in FLAT:
        return source.defaults.get(key)
    name = optimizer.get("name") if isinstance(optimizer, Mapping) else optimizer
    # The defaults of a user's own optimizer, or of one that is not installed here, are unknown.
    if not isinstance(name, str) or is_reference(name) or not OPTIMIZERS.knows(name):
        return None
    fields = OPTIMIZERS.get(name).model_fields
    return fields[key].default if key in fields else None


def _rank(trials: Sequence[RankedTrial], objective: Objective) -> tuple[RankedTrial, ...]:
    """Return trials in order, with ranks and ties, by the same rules as within one sweep."""
    # One overlap for all: the largest is the most cautious if only some sweeps have folds.
    overlap = max((fold_overlap(one.source.results) for one in trials), default=0.0)
    ranks = order_settings(objective, [one.trial for one in trials], [one.figures for one in trials], overlap)
    return tuple(
        dataclasses.replace(one := trials[n], trial=dataclasses.replace(one.trial, place=place, tied=tied))
        for n, place, tied in ranks
    )


def _axes(trials: Sequence[RankedTrial]) -> tuple[str, ...]:
    keys = dict.fromkeys(key for one in trials for key in one.values)
    varying = [key for key in keys if len({same_text(one.values.get(key)) for one in trials}) > 1]
    return tuple(sorted(varying, key=lambda key: not key.startswith("model")))  # stable: the model comes first


# Trials that several sweeps share.


def _shared(sources: Sequence[Source], trials: Sequence[RankedTrial]) -> tuple[SharedTrial, ...]:
    """Return the trials that several sweeps share, each paired with the first sweep that has it."""
    knows_models = _knows_models(sources)
    groups: dict[tuple[Any, ...], list[RankedTrial]] = {}
    for one in trials:
        groups.setdefault(_identity(one, knows_models), []).append(one)
    found = []
    for group in groups.values():
        by_letter = {one.source.letter: one for one in reversed(group) if one.figures}  # the best of several
        ordered = [by_letter[source.letter] for source in sources if source.letter in by_letter]
        found += [_beside(ordered[0], other) for other in ordered[1:]]
    return tuple(found)


def _identity(one: RankedTrial, knows_models: bool) -> tuple[Any, ...]:
    values = {key: same_text(value) for key, value in one.values.items()}
    if knows_models:
        return tuple(sorted(values.items()))
    # If a sweep's file is missing, the model's arguments are unknown: the number of weights is the best evidence left.
    plain = sorted((key, value) for key, value in values.items() if not key.startswith("model."))
    return (one.trial.runs[0].parameters, *plain)


def _beside(first: RankedTrial, second: RankedTrial) -> SharedTrial:
    overlap = max(fold_overlap(first.source.results), fold_overlap(second.source.results))
    both = [key for key in first.figures if key in second.figures]
    are_identical = bool(both) and all(first.figures[key] == second.figures[key] for key in both)
    return SharedTrial(first, second, difference(second.figures, first.figures, overlap), are_identical)


# Warnings.


def _warnings(sources: Sequence[Source], trials: Sequence[RankedTrial], objective: Objective) -> tuple[str, ...]:
    return (
        *image_warnings(sources, "validation images" if is_on_validation(objective.metric) else "images"),
        *choice_warnings(sources, objective),
        *_gap_warnings(sources, trials, objective),
    )


def _gap_warnings(sources: Sequence[Source], trials: Sequence[RankedTrial], objective: Objective) -> list[str]:
    """Return warnings of sweeps without values, or with values that may still change."""
    found = []
    for source in sources:
        own = [one for one in trials if one.source is source]
        runs = source.results.runs
        if not runs:
            found.append(f"{source.letter} has no runs yet.")
        elif not any(one.figures for one in own):
            found.append(f"{source.letter} has no {objective.metric} yet.")
        elif not any(run.is_complete for run in runs):
            found.append(f"{source.letter} has no finished run: its metrics are from unfinished runs.")
    return found


def mean_difference(shared: Sequence[SharedTrial]) -> float:
    """Return the mean of the differences of several shared trials."""
    return fmean(one.difference.mean for one in shared)
