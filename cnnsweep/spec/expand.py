"""Makes the runs of a sweep: every combination of the values of its axes."""

import hashlib
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from cnnsweep.errors import UsageError
from cnnsweep.records import DatasetChoice, Hyperparameters, ModelChoice, Run
from cnnsweep.spec.consistency import MODEL_PREFIX
from cnnsweep.spec.dump import as_written, without_folder
from cnnsweep.spec.names import DEFAULT_WEIGHT_DECAY, OPTIMIZER_HYPERPARAMETERS
from cnnsweep.spec.schema import Params, SweepSpec

MAX_NAME_LENGTH = 120
SHORT_ID, FULL_ID = 6, 16  # hex digits

_DEFAULTS: Mapping[str, Any] = {key: field.default[0] for key, field in Params.model_fields.items()}
_OPTIONAL = frozenset(key for keys in OPTIMIZER_HYPERPARAMETERS.values() for key in keys)
_HYPERPARAMETERS = tuple(field.name for field in fields(Hyperparameters))


@dataclass(frozen=True, slots=True)
class Expansion:
    """The runs of a sweep; `duplicates` counts the combinations left out because an earlier one is the same run."""

    runs: tuple[Run, ...]
    duplicates: int


def count_combinations(spec: SweepSpec) -> int:
    """Return the product of the axes' lengths, without making the runs."""
    return math.prod(map(len, spec.axes.values()))


def expand_runs(spec: SweepSpec, limit: int = 10_000) -> Expansion:
    """Return the runs in the order of `itertools.product`: the axes in the file's order, the last one fastest.

    Raises:
        UsageError: there are more combinations than `limit`.
    """
    count = count_combinations(spec)
    if count > limit:
        raise UsageError(
            f"the sweep has {count:,} combinations, allowed are {limit:,}; "
            f"shorten the lists under params, or allow more with --max-runs {count}"
        )
    shared = _canonical(_shared_identity(spec))
    drafts: dict[str, tuple[ModelChoice, Hyperparameters, dict[str, Any]]] = {}
    for values in itertools.product(*spec.axes.values()):
        setting = dict(zip(spec.axes, values, strict=True))
        model = _model(spec, setting)
        hyperparameters = _hyperparameters(spec, setting)
        own = {"model": _code_identity(model), "hyperparameters": hyperparameters}
        run_id = hashlib.sha256(_json({**shared, **_canonical(own)}).encode()).hexdigest()[:FULL_ID]
        drafts.setdefault(run_id, (model, hyperparameters, _settings(setting, hyperparameters)))
    axes = _axes_to_name(spec)
    short_ids = _short_ids(drafts)
    runs = []
    for run_id, (model, hyperparameters, settings) in drafts.items():
        name = _run_name({key: settings[key] for key in axes}, short_ids[run_id])
        runs.append(Run(run_id, name, model, hyperparameters, settings))
    return Expansion(tuple(runs), duplicates=count - len(runs))


def _model(spec: SweepSpec, setting: Mapping[str, Any]) -> ModelChoice:
    base: ModelChoice | None = setting.get("model", spec.model)
    assert base is not None, "a checked sweep names a model"
    arguments = dict(base.arguments)
    for key, value in setting.items():
        if key == "dropout":
            arguments["dropout"] = value
        elif key.startswith(MODEL_PREFIX):
            arguments[key.removeprefix(MODEL_PREFIX)] = value
    return ModelChoice(base.name, arguments, base.code)


def _hyperparameters(spec: SweepSpec, setting: Mapping[str, Any]) -> Hyperparameters:
    values = {**_DEFAULTS, **setting}
    optimizer = values["optimizer"]
    # What an optimizer does not use is None, so that runs that differ in nothing else are one run.
    values.update(dict.fromkeys(_OPTIONAL - set(OPTIMIZER_HYPERPARAMETERS[optimizer])))
    if not values["momentum"] and values["nesterov"]:
        values["nesterov"] = False  # without momentum it is plain SGD, and torch refuses the pair
    if values["weight_decay"] is None:
        values["weight_decay"] = DEFAULT_WEIGHT_DECAY[optimizer]
    if values["seed"] is None:
        values["seed"] = spec.seed
    return Hyperparameters(**{name: values[name] for name in _HYPERPARAMETERS})


def _settings(setting: Mapping[str, Any], hyperparameters: Hyperparameters) -> dict[str, Any]:
    """Return what tables show: the values that count, not those that the optimizer leaves unused."""
    settings = {}
    for key, value in setting.items():
        if isinstance(value, ModelChoice):
            value = ModelChoice(without_folder(value.name, value.code), value.arguments)
        settings[key] = as_written(getattr(hyperparameters, key, value))
    return settings


# Ids


def _shared_identity(spec: SweepSpec) -> dict[str, Any]:
    """Return what determines every run's result beside its own setting."""
    return {
        "dataset": {**_code_identity(spec.dataset_choice), "normalize": spec.dataset_choice.normalize},
        "validation": spec.validation,
        "sweep_seed": spec.seed,  # it makes the split
        "precision": spec.precision,
        "metric": spec.metric,  # with the mode it chooses the best epoch
        "mode": spec.mode,
    }


def _code_identity(choice: DatasetChoice | ModelChoice) -> dict[str, Any]:
    """Return name, arguments and code; a person's own file counts by its content, not by the folder that it lies in."""
    return {"name": without_folder(choice.name, choice.code), "arguments": choice.arguments, "code": choice.code}


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
    return {field.name: _canonical(getattr(value, field.name)) for field in fields(value)}  # a record


# Names


def _axes_to_name(spec: SweepSpec) -> list[str]:
    return [key for key, values in spec.axes.items() if len({_json(_canonical(value)) for value in values}) > 1]


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


def _run_name(settings: Mapping[str, Any], short_id: str) -> str:
    # None is what the optimizer leaves unused; only for grad_clip it is a setting.
    parts = [f"{key}={_short(value)}" for key, value in settings.items() if value is not None or key == "grad_clip"]
    text = re.sub(r"[^A-Za-z0-9._=,+-]", "_", ",".join(parts)) or "run"
    return f"{text[: MAX_NAME_LENGTH - len(short_id) - 1]}-{short_id}"


def _short(value: Any) -> str:
    """Return a setting as it stands in a run's name: `0.01`, `true`, `6+12`, `cosine+warmup=2`."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "+".join(map(_short, value))
    if isinstance(value, Mapping):
        rest = [f"{key}={_short(item)}" for key, item in value.items() if key != "name"]
        return "+".join([value["name"], *rest] if "name" in value else rest)
    return str(value)
