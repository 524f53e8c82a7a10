"""Fields of a run's records that enter its identity.

The fields that records had when ids were first made enter with any value: they are listed here, and the list is
closed. A field that is added to a record later has a default, and enters only where it differs from that, so that
finished runs keep their ids. `docs/sweep-file.md` lists the parts of an id.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from functools import cache, lru_cache
from typing import Any

from cnnsweep.augmentations.base import AUGMENTATIONS, stream_name
from cnnsweep.config.augment_field import main_field
from cnnsweep.config.dump import without_folder
from cnnsweep.config.grid import TrialParams
from cnnsweep.config.hyperparameters import trial_hyperparameters, trial_model
from cnnsweep.config.schema import SweepSpec
from cnnsweep.metrics.objective import BEST
from cnnsweep.plugins import is_reference
from cnnsweep.types import Choice, ClassWeights, DatasetChoice, Hyperparameters, ModelChoice, Normalization

FIRST_FIELDS: Mapping[type, frozenset[str]] = {
    Hyperparameters: frozenset(
        {
            *("lr", "batch_size", "shuffle", "epochs", "optimizer", "momentum", "nesterov", "beta1", "beta2", "eps"),
            *("weight_decay", "schedule", "label_smoothing", "grad_clip", "augment", "seed"),
        }
    ),
    Normalization: frozenset({"kind", "mean", "std"}),
    ModelChoice: frozenset({"name", "arguments", "code"}),
}
# The first schedules were one record with the fields of all; the first augmentations were one record too.
_FIRST_SCHEDULES = ("constant", "step", "cosine", "one_cycle")
_FIRST_SCHEDULE_FIELDS: Mapping[str, Any] = {"warmup": 0.0, "every": 1, "factor": 0.1, "final": 0.0, "peak": 0.3}
_FIRST_SIZES: Mapping[str, Any] = {"flip": False, "crop": 0, "cutout": 0}
FULL_ID = 16  # hex digits
_CONSTANTS: Mapping[Any, str] = {None: "null", True: "true", False: "false"}
Record = Hyperparameters | Normalization | ModelChoice


class Identities:
    """Makes the ids of a sweep's trials and runs.

    An id is the hash of a JSON object. The JSON of each part is made by itself: of thousands of runs most are the same.
    """

    def __init__(self, spec: SweepSpec) -> None:
        self._spec = spec
        self._shared = {key: json_text(value) for key, value in _shared_identity(spec).items()}
        self._models: dict[str, str] = {}  # of models without arguments of their own, by name

    def trial_id(self, params: TrialParams) -> str:
        """Return the id of a trial, in which its seed does not count."""
        texts = self.texts(trial_hyperparameters(self._spec, params, None))
        return self.id_of(trial_model(self._spec, params), {**texts, "seed": None})

    def texts(self, hyperparameters: Hyperparameters) -> dict[str, str]:
        """Return the JSON text of each hyperparameter that counts."""
        counted = identity_fields(hyperparameters)
        return {name: _TEXTS.get(name, json_text)(value) for name, value in counted.items()}

    def id_of(self, model: ModelChoice, hyperparameters: Mapping[str, str | None], fold: int | None = None) -> str:
        """Return the id of a run, or of a trial if there is no text of the seed.

        Args:
            hyperparameters: their JSON texts; those that are None are left out.
        """
        counted = {name: text for name, text in hyperparameters.items() if text is not None}
        parts = {**self._shared, "model": self._model(model), "hyperparameters": _object(counted)}
        if fold is not None:
            parts["fold"] = json_text(fold)
        return hashlib.sha256(_object(parts).encode()).hexdigest()[:FULL_ID]

    def _model(self, model: ModelChoice) -> str:
        if model.arguments:
            return json_text(_code_identity(model))
        if model.name not in self._models:
            self._models[model.name] = json_text(_code_identity(model))
        return self._models[model.name]


def identity_fields(record: Record) -> dict[str, Any]:
    """Return the fields of a record that enter an id, by name."""
    kind: type = type(record)
    first, later = _fields_of(kind)
    counted = {name: getattr(record, name) for name in first}
    for field in later:
        if (value := getattr(record, field.name)) != _default(field):
            counted[field.name] = value
    if isinstance(record, Hyperparameters):
        counted["optimizer"] = without_folder(record.optimizer, record.optimizer_code)
    return counted


def choice_identity(choice: Choice) -> dict[str, Any]:
    """Return the identity of a schedule or a loss; a user's own file counts by its content, in any folder."""
    if choice.name in _FIRST_SCHEDULES:
        return {"name": choice.name, **_FIRST_SCHEDULE_FIELDS, **choice.arguments}
    known = {"name": without_folder(choice.name, choice.code), "arguments": choice.arguments}
    return known if choice.code is None else {**known, "code": choice.code}


def augment_identity(choices: Sequence[Choice]) -> dict[str, Any]:
    """Return the identity of a run's augmentations, by name; the size alone where no other field differs."""
    return {**_FIRST_SIZES, **{stream_name(choice): _size_or_fields(choice) for choice in choices}}


def _size_or_fields(choice: Choice) -> Any:
    if choice.name not in _FIRST_SIZES:
        return choice.arguments if choice.code is None else {"arguments": choice.arguments, "code": choice.code}
    main = main_field(choice.name)
    if main is None:
        return choice.arguments or True
    size = choice.arguments.get(main, AUGMENTATIONS.get(choice.name).model_fields[main].default)
    others = {key: value for key, value in choice.arguments.items() if key != main}
    return {main: size, **others} if others else size


@cache
def _fields_of(kind: type) -> tuple[Sequence[str], Sequence[Field[Any]]]:
    """Return the fields of a record that always enter its identity, and the others."""
    first = next(names for known, names in FIRST_FIELDS.items() if issubclass(kind, known))
    return [field.name for field in fields(kind) if field.name in first], [
        field for field in fields(kind) if field.name not in first
    ]


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _shared_identity(spec: SweepSpec) -> dict[str, Any]:
    """Return the parts that all runs share."""
    dataset = spec.dataset_choice
    subset = {} if dataset.subset is None else {"subset": dataset.subset}
    identity = {
        "dataset": {**_code_identity(dataset), "normalize": dataset.normalize, **subset},
        "validation": spec.validation,
        "sweep_seed": spec.seed,  # it makes the split
        "precision": spec.precision,
        "metric": spec.metric,  # with the mode it chooses the best epoch
        "mode": spec.mode,
    }
    if (deciding := spec.deciding) is not None and is_reference(deciding.name):
        identity["metric_code"] = choice_identity(deciding)  # of those that do not decide, none changes a run
    return identity if spec.scope == BEST else {**identity, "scope": spec.scope}


def _code_identity(choice: DatasetChoice | ModelChoice) -> dict[str, Any]:
    """Return name, arguments and code; a user's own file counts by its content, not by the folder that it lies in."""
    return {"name": without_folder(choice.name, choice.code), "arguments": choice.arguments, "code": choice.code}


def _object(texts: Mapping[str, str]) -> str:
    """Return a JSON object made of the JSON texts of its values; all keys are plain names."""
    return "{" + ",".join([f'"{key}":{texts[key]}' for key in sorted(texts)]) + "}"


def json_text(value: Any) -> str:
    """Return a value as JSON, always the same for equal values."""
    return _scalar_text(value) if value is None or isinstance(value, int | float) else _json(_canonical(value))


@lru_cache(4096, typed=True)
def _scalar_text(value: float | None) -> str:
    if value is None or isinstance(value, bool):
        return _CONSTANTS[value]
    if isinstance(value, float) and math.isfinite(value):
        return repr(int(value) if value.is_integer() else value)
    return _json(value)


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
    if isinstance(value, ClassWeights):
        return _canonical(value.as_written())
    if isinstance(value, Choice):
        return {"name": value.name, "arguments": _canonical(value.arguments), "code": value.code}
    return {name: _canonical(item) for name, item in identity_fields(value).items()}
