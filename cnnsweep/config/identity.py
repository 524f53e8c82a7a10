"""Fields of a run's records that enter its identity.

The fields that records had when ids were first made enter whatever they say: they are listed here, and the list is
closed. A field that is added to a record later has a default, and enters only where it differs from that, so that
finished runs keep their ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from functools import cache
from typing import Any

from cnnsweep.augmentations.base import AUGMENTATIONS, stream_name
from cnnsweep.config.augment_field import main_field
from cnnsweep.config.dump import without_folder
from cnnsweep.types import Choice, Hyperparameters, ModelChoice, Normalization

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
Record = Hyperparameters | Normalization | ModelChoice


def identity_fields(record: Record) -> dict[str, Any]:
    """Return the fields of a record that enter an id, by name."""
    values = ((field, getattr(record, field.name)) for field in fields(record))
    kind: type = type(record)
    first = _first_fields(kind)
    counted = {field.name: value for field, value in values if field.name in first or value != _default(field)}
    if isinstance(record, Hyperparameters):
        counted["optimizer"] = without_folder(record.optimizer, record.optimizer_code)
    return counted


def choice_identity(choice: Choice) -> dict[str, Any]:
    """Return what identifies a schedule or a loss; a user's own file counts by its content, wherever it lies."""
    if choice.name in _FIRST_SCHEDULES:
        return {"name": choice.name, **_FIRST_SCHEDULE_FIELDS, **choice.arguments}
    known = {"name": without_folder(choice.name, choice.code), "arguments": choice.arguments}
    return known if choice.code is None else {**known, "code": choice.code}


def augment_identity(choices: Sequence[Choice]) -> dict[str, Any]:
    """Return what identifies the augmentations of a run, by name; the size alone where no other field differs."""
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
def _first_fields(kind: type) -> frozenset[str]:
    return next(names for known, names in FIRST_FIELDS.items() if issubclass(kind, known))


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
