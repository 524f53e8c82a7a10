"""Makes the runs of a sweep: its trials, each with every seed and fold."""

import hashlib
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from cnnsweep.config.dump import as_written, shortened, without_folder
from cnnsweep.config.grid import TrialParams, count_runs, grid_params
from cnnsweep.config.identity import augment_identity, choice_identity, identity_fields
from cnnsweep.config.optimizer_arguments import arguments_in, flat_values, takes, uses
from cnnsweep.config.schema import MODEL_PREFIX, OPTIMIZER_PREFIX, Params, SweepSpec
from cnnsweep.errors import UsageError
from cnnsweep.metrics.objective import BEST
from cnnsweep.plugins import is_reference
from cnnsweep.samplers.space import Interval
from cnnsweep.types import Choice, DatasetChoice, Hyperparameters, ModelChoice, Run

MAX_NAME_LENGTH = 120
MOST_RUNS = 1_000_000  # more are a slip, or a case for a search
SHORT_ID, FULL_ID = 6, 16  # hex digits

_DEFAULTS: Mapping[str, Any] = {key: field.default[0] for key, field in Params.model_fields.items()}
_CONSTANTS: Mapping[Any, str] = {None: "null", True: "true", False: "false"}
_HYPERPARAMETERS = tuple(field.name for field in fields(Hyperparameters))


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
    identities = Identities(spec)
    shown_keys = columns(spec)
    drafts: dict[str, _Draft] = {}
    count = 0
    for params in trials:
        model = _model(spec, params)
        trial_id = identities.trial_id(params)
        for seed in spec.seeds or (params.get("seed"),):
            hyperparameters = _hyperparameters(spec, params, seed)
            own = identities.texts(model, hyperparameters)
            shown = _shown_params(shown_keys, {"model": spec.model, **params}, hyperparameters)
            for fold in range(spec.folds) if spec.folds else (None,):
                count += 1
                run_id = _hash(own if fold is None else {**own, "fold": _text(fold)})
                shown_here = shown if fold is None else {**shown, "fold": fold}
                drafts.setdefault(run_id, _Draft(model, hyperparameters, shown_here, trial_id, fold))
    return Expansion(tuple(_named(spec, drafts, taken)), duplicates=count - len(drafts))


class Identities:
    """Makes the ids of a sweep's trials and runs; see `docs/sweep-file.md` for what they are made from."""

    def __init__(self, spec: SweepSpec) -> None:
        self._spec = spec
        self._shared = {key: _text(value) for key, value in _shared_identity(spec).items()}
        self._models: dict[str, str] = {}  # of models without arguments of their own, by name

    def trial_id(self, params: TrialParams) -> str:
        """Return the id of a trial, in which its seed does not count."""
        hyperparameters = _hyperparameters(self._spec, params, None)
        return _hash(self.texts(_model(self._spec, params), hyperparameters, without="seed"))

    def texts(self, model: ModelChoice, hyperparameters: Hyperparameters, without: str = "") -> dict[str, str]:
        """Return what makes an id, as JSON texts; `without` is a hyperparameter to leave out."""
        counted = identity_fields(hyperparameters)
        texts = {name: _TEXTS.get(name, _text)(value) for name, value in counted.items() if name != without}
        return {**self._shared, "model": self._model(model), "hyperparameters": _object(texts)}

    def _model(self, model: ModelChoice) -> str:
        if model.arguments:
            return _text(_code_identity(model))
        if model.name not in self._models:
            self._models[model.name] = _text(_code_identity(model))
        return self._models[model.name]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A run without a name."""

    model: ModelChoice
    hyperparameters: Hyperparameters
    params: dict[str, Any]
    trial_id: str
    fold: int | None


def _named(spec: SweepSpec, drafts: Mapping[str, _Draft], taken: Collection[str]) -> Iterable[Run]:
    axes = columns_that_vary(spec)
    short_ids = _short_ids(drafts)
    taken = {name.casefold() for name in taken}  # on many disks A and a are the same folder
    for run_id, draft in drafts.items():
        shown = {key: draft.params[key] for key in axes}
        name = _run_name(shown, short_ids[run_id])
        if name.casefold() in taken:
            name = _run_name(shown, run_id)
        yield Run(run_id, name, draft.model, draft.hyperparameters, draft.params, draft.trial_id, draft.fold)


def columns(spec: SweepSpec) -> list[str]:
    """Return the trials that tables show, in the file's order: keys of `params`, then those that `include` adds."""
    names = [*spec.axes, *(key for params in spec.include for key in params)]
    replicates = [*(["seed"] if spec.seeds else []), *(["fold"] if spec.folds else [])]
    return list(dict.fromkeys([*names, *replicates]))


def columns_that_vary(spec: SweepSpec) -> list[str]:
    """Return the trials in which runs of the sweep can differ."""
    several = {"seed": len(spec.seeds) > 1, "fold": spec.folds is not None}
    varying = []
    for key in columns(spec):
        values = spec.axes.get(key, ())
        if isinstance(values, Interval) or several.get(key):
            varying.append(key)
            continue
        possible = [*values, *(params[key] for params in spec.include if key in params)]
        absent = key not in spec.axes and any(key not in params for params in spec.include)
        if len(set(map(_text, possible))) > 1 or key in spec.when or absent:
            varying.append(key)
    return varying


def possible_values(spec: SweepSpec) -> dict[str, list[Any]]:
    """Return, by column of the tables, values of every kind that a run of the sweep may have there, as JSON has them.

    What a search may draw is known by its space alone, so of an interval one number stands for all.
    """
    found: dict[str, list[Any]] = {}
    for key in columns(spec):
        axis = spec.axes.get(key, ())
        values = [axis.low] if isinstance(axis, Interval) else list(axis)
        values += [params[key] for params in spec.include if key in params]
        values += [_DEFAULTS[key]] if key in _DEFAULTS else []  # of runs to which the axis does not apply
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


def _model(spec: SweepSpec, params: TrialParams) -> ModelChoice:
    base: ModelChoice | None = params.get("model", spec.model)
    assert base is not None, "a checked sweep names a model"
    own = {
        key.removeprefix(MODEL_PREFIX): value
        for key, value in params.items()
        if key == "dropout" or key.startswith(MODEL_PREFIX)
    }
    return ModelChoice(base.name, {**base.arguments, **own}, base.code) if own else base


def _hyperparameters(spec: SweepSpec, params: TrialParams, seed: int | None) -> Hyperparameters:
    values = {**_DEFAULTS, **params, "seed": spec.seed if seed is None else seed}
    optimizer = values["optimizer"]
    # What is not used has no value, so that runs that differ in nothing else are one run.
    values |= flat_values(optimizer, params)
    if values["momentum"] == 0 and values["nesterov"]:
        values["nesterov"] = False  # without momentum it is plain SGD, and torch refuses the pair
    if not uses("label_smoothing", values["loss_function"]):
        values["label_smoothing"] = 0.0
    values["optimizer_arguments"] = arguments_in(optimizer, params)
    values |= {"optimizer": optimizer.name, "optimizer_code": optimizer.code}
    return Hyperparameters(**{name: values[name] for name in _HYPERPARAMETERS})


def _shown_params(keys: Iterable[str], params: TrialParams, hyperparameters: Hyperparameters) -> dict[str, Any]:
    """Return what tables show: the values that count, not those that the optimizer leaves unused."""
    shown = {}
    optimizer = params.get("optimizer", _DEFAULTS["optimizer"])
    for key in keys:
        value = params.get(key)
        if key == "optimizer":
            value = optimizer
        elif key.startswith(OPTIMIZER_PREFIX):
            value = value if takes(optimizer, key.removeprefix(OPTIMIZER_PREFIX)) else None
        else:
            value = getattr(hyperparameters, key, value)
        shown[key] = as_written(shortened(value))
    return shown


# Ids; the JSON of each part is made by itself, since of thousands of runs most parts are the same


def _shared_identity(spec: SweepSpec) -> dict[str, Any]:
    """Return what determines every run's result beside its own trial."""
    identity = {
        "dataset": {**_code_identity(spec.dataset_choice), "normalize": spec.dataset_choice.normalize},
        "validation": spec.validation,
        "sweep_seed": spec.seed,  # it makes the split
        "precision": spec.precision,
        "metric": spec.metric,  # with the mode it chooses the best epoch
        "mode": spec.mode,
    }
    return identity if spec.scope == BEST else {**identity, "scope": spec.scope}


def _code_identity(choice: DatasetChoice | ModelChoice) -> dict[str, Any]:
    """Return name, arguments and code; a person's own file counts by its content, not by the folder that it lies in."""
    return {"name": without_folder(choice.name, choice.code), "arguments": choice.arguments, "code": choice.code}


def _hash(texts: Mapping[str, str]) -> str:
    return hashlib.sha256(_object(texts).encode()).hexdigest()[:FULL_ID]


def _object(texts: Mapping[str, str]) -> str:
    """Return a JSON object made of the JSON texts of its values; all keys are plain names."""
    return "{" + ",".join([f'"{key}":{texts[key]}' for key in sorted(texts)]) + "}"


def _text(value: Any) -> str:
    """Return a value as JSON, always the same for equal values."""
    if value is None or isinstance(value, bool):
        return _CONSTANTS[value]
    if isinstance(value, float) and math.isfinite(value):
        return repr(int(value) if value.is_integer() else value)
    if isinstance(value, int):
        return repr(value)
    return _json(_canonical(value))


@cache
def _text_of_choice(choice: Choice) -> str:
    return _json(_canonical(choice_identity(choice)))


@cache
def _text_of_augmentations(choices: tuple[Choice, ...]) -> str:
    return _json(_canonical(augment_identity(choices)))


_TEXTS: Mapping[str, Callable[[Any], str]] = {
    "schedule": _text_of_choice,
    "loss_function": _text_of_choice,
    "augment": _text_of_augmentations,
}


def _json(canonical: Any) -> str:
    return json.dumps(canonical, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _canonical(value: Any) -> Any:
    """Return plain values in which equal numbers look equal: 1 and 1.0, lists and tuples."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, Choice):
        return {"name": value.name, "arguments": _canonical(value.arguments), "code": value.code}
    return {name: _canonical(item) for name, item in identity_fields(value).items()}


# Names


def _short_ids(run_ids: Iterable[str]) -> dict[str, str]:
    """Return the first digits of each id: six, and more for those that would look the same."""
    ids = list(run_ids)
    short_ids: dict[str, str] = {}
    for length in range(SHORT_ID, FULL_ID + 1):
        counts = Counter(run_id[:length] for run_id in ids)
        for run_id in ids:
            if counts[run_id[:length]] == 1:
                short_ids.setdefault(run_id, run_id[:length])
    return short_ids


def _run_name(params: Mapping[str, Any], short_id: str) -> str:
    # None is what the optimizer leaves unused; only for grad_clip it is a trial.
    parts = [f"{key}={_short(value)}" for key, value in params.items() if value is not None or key == "grad_clip"]
    text = re.sub(r"[^A-Za-z0-9._=,+-]", "_", ",".join(parts)) or "run"
    return f"{text[: MAX_NAME_LENGTH - len(short_id) - 1]}-{short_id}"


def _short(value: Any) -> str:
    """Return a trial as it stands in a run's name: `0.01`, `true`, `6+12`, `cosine+warmup=2`."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "+".join(map(_short, value))
    if isinstance(value, Mapping):
        rest = [f"{key}={_short(item)}" for key, item in value.items() if key != "name"]
        return "+".join([value["name"], *rest] if "name" in value else rest)
    return str(value)
