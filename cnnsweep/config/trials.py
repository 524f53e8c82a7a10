"""Makes the runs of a sweep: its trials, each with every seed and fold."""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cnnsweep.config.dump import as_written
from cnnsweep.config.grid import TrialParams, count_runs, grid_params
from cnnsweep.config.hyperparameters import DEFAULTS, shown_params, trial_hyperparameters, trial_model
from cnnsweep.config.identity import Identities, json_text
from cnnsweep.config.run_names import run_name, short_ids
from cnnsweep.config.schema import SweepSpec
from cnnsweep.errors import UsageError
from cnnsweep.plugins import is_reference
from cnnsweep.samplers.space import Interval
from cnnsweep.types import Choice, Hyperparameters, ModelChoice, Run

MOST_RUNS = 1_000_000  # more are a slip, or a case for a search


@dataclass(frozen=True, slots=True)
class Expansion:
    """The runs of a sweep; `duplicates` counts the combinations left out because an earlier one is the same run."""

    runs: tuple[Run, ...]
    duplicates: int


def expand_runs(spec: SweepSpec, limit: int = 10_000) -> Expansion:
    """Return the runs of a grid, in the order of `itertools.product`, then those of `include`.

    The axes come in the file's order, the last one fastest, but for the seed, which is faster, and the fold, which is
    fastest. Of a search, whose trials are not known beforehand, these are the runs of `include` alone.

    Raises:
        UsageError: there are more than `limit`, or conditions leave none.
    """
    refuse_too_many(spec, limit)
    trials: Iterable[TrialParams] = grid_params(spec) if spec.search is None else ()
    expansion = make_runs(spec, itertools.chain(trials, spec.include))
    if not expansion.runs and spec.search is None:
        raise UsageError("exclude: its conditions leave no combination to train")
    return expansion


def refuse_too_many(spec: SweepSpec, limit: int) -> None:
    """Raise if a sweep has more runs than allowed; they are counted, not made.

    Raises:
        UsageError: there are more than `limit`.
    """
    count = count_runs(spec)
    if count.runs > limit:
        about = "" if count.is_exact else "up to "
        times = f" ({count.trials + count.included:,} trials × {count.replicates})" if count.replicates > 1 else ""
        combinations = "1 combination" if count.runs == 1 else f"{count.runs:,} combinations"
        raise UsageError(f"the sweep has {about}{combinations}{times}, allowed are {limit:,}; {_way_out(count.runs)}")


def _way_out(runs: int) -> str:
    if runs > MOST_RUNS:
        return "shorten the lists under params, or try some of them with `search: {method: random, runs: 100}`"
    return f"shorten the lists under params, or allow more with --max-runs {runs}"


def make_runs(spec: SweepSpec, trials: Iterable[TrialParams], taken: Collection[str] = ()) -> Expansion:
    """Return the runs of some trials, with every seed and fold; equal ones once.

    Args:
        taken: names of other runs in the folder.
    """
    identities, shown_keys = Identities(spec), columns(spec)
    drafts: dict[str, _Draft] = {}
    count = 0
    for params in trials:
        for run_id, draft in _drafts(spec, params, identities, shown_keys):
            count += 1
            drafts.setdefault(run_id, draft)
    return Expansion(tuple(_named(spec, drafts, taken)), duplicates=count - len(drafts))


@dataclass(frozen=True, slots=True)
class _Draft:
    """A run without a name."""

    model: ModelChoice
    hyperparameters: Hyperparameters
    params: dict[str, Any]
    trial_id: str
    fold: int | None


def _drafts(
    spec: SweepSpec, params: TrialParams, identities: Identities, shown_keys: Sequence[str]
) -> Iterator[tuple[str, _Draft]]:
    """Yield the runs of a trial, with their ids."""
    first, *other_seeds = spec.seeds or (params.get("seed"),)
    model, hyperparameters = trial_model(spec, params), trial_hyperparameters(spec, params, first)
    texts = identities.texts(hyperparameters)
    trial_id = identities.id_of(model, {**texts, "seed": None})
    own = {"model": spec.model, **params}
    for one in (hyperparameters, *(replace(hyperparameters, seed=seed) for seed in other_seeds)):
        of_run = {**texts, "seed": json_text(one.seed)}
        shown = shown_params(shown_keys, own, one)
        for fold in range(spec.folds) if spec.folds else (None,):
            shown_here = shown if fold is None else {**shown, "fold": fold}
            yield identities.id_of(model, of_run, fold), _Draft(model, one, shown_here, trial_id, fold)


def _named(spec: SweepSpec, drafts: Mapping[str, _Draft], taken: Collection[str]) -> Iterable[Run]:
    axes = columns_that_vary(spec)
    digits = short_ids(drafts)
    taken = {name.casefold() for name in taken}  # on many disks A and a are the same folder
    for run_id, draft in drafts.items():
        shown = {key: draft.params[key] for key in axes}
        name = run_name(shown, digits[run_id])
        if name.casefold() in taken:
            name = run_name(shown, run_id)
        yield Run(run_id, name, draft.model, draft.hyperparameters, draft.params, draft.trial_id, draft.fold)


def columns(spec: SweepSpec) -> list[str]:
    """Return the columns of tables, in the file's order: keys of `params`, then those that `include` adds."""
    names = [*spec.axes, *(key for params in spec.include for key in params)]
    replicates = [*(["seed"] if spec.seeds else []), *(["fold"] if spec.folds else [])]
    return list(dict.fromkeys([*names, *replicates]))


def columns_that_vary(spec: SweepSpec) -> list[str]:
    """Return the columns in which runs of the sweep can differ."""
    several = {"seed": len(spec.seeds) > 1, "fold": spec.folds is not None}
    varying = []
    for key in columns(spec):
        values = spec.axes.get(key, ())
        if isinstance(values, Interval) or several.get(key):
            varying.append(key)
            continue
        possible = [*values, *(params[key] for params in spec.include if key in params)]
        absent = key not in spec.axes and any(key not in params for params in spec.include)
        if len(set(map(json_text, possible))) > 1 or key in spec.when or absent:
            varying.append(key)
    return varying


def possible_values(spec: SweepSpec) -> dict[str, list[Any]]:
    """Return, by column of the tables, values of every kind that a run of the sweep may have there, as JSON has them.

    The draws of a search are known by its space alone, so one number of an interval stands for all.
    """
    found: dict[str, list[Any]] = {}
    for key in columns(spec):
        axis = spec.axes.get(key, ())
        values = [axis.low] if isinstance(axis, Interval) else list(axis)
        values += [params[key] for params in spec.include if key in params]
        values += [DEFAULTS[key]] if key in DEFAULTS else []  # of runs to which the axis does not apply
        found[key] = [as_written(value) for value in values]
    return found


def model_names(spec: SweepSpec, runs: Sequence[Run]) -> list[str]:
    """Return the models' names; of a search, all that it may choose, since nothing is chosen as it begins."""
    chosen = [run.model for run in runs]
    if spec.search is not None:
        axis = spec.axes.get("model", ())
        possible = [spec.model] if isinstance(axis, Interval) or not axis else axis
        chosen = [one for one in possible if isinstance(one, ModelChoice)] + chosen
    return list(dict.fromkeys(model.name for model in chosen))


def code_references(spec: SweepSpec, runs: Sequence[Run]) -> tuple[str, ...]:
    """Return the references, such as `file.py:Name`, to the user's models and components; workers import them.

    Those of all runs, and those that a search may choose.
    """
    values = [value for axis in spec.axes.values() if not isinstance(axis, Interval) for value in axis]
    parts = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
    named = [part.name for part in [*parts, *spec.metrics] if isinstance(part, Choice)]
    names = dict.fromkeys([*model_names(spec, runs), *named, *_components(runs)])
    return tuple(filter(is_reference, names))


def _components(runs: Sequence[Run]) -> Iterable[str]:
    return (choice.name for run in runs for choice in run.hyperparameters.components)
