"""The fields of a run's records that enter its identity.

The fields that records had when ids were first made enter whatever they say: they are listed here, and the list is
closed. A field that is added to a record later has a default, and enters only where it differs from that, so that
finished runs keep their ids.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from functools import cache
from typing import Any

from cnnsweep.types import Augmentation, Hyperparameters, ModelChoice, Normalization, Schedule

FIRST_FIELDS: Mapping[type, frozenset[str]] = {
    Hyperparameters: frozenset(
        {
            *("lr", "batch_size", "shuffle", "epochs", "optimizer", "momentum", "nesterov", "beta1", "beta2", "eps"),
            *("weight_decay", "schedule", "label_smoothing", "grad_clip", "augment", "seed"),
        }
    ),
    Schedule: frozenset({"name", "warmup", "every", "factor", "final", "peak"}),
    Augmentation: frozenset({"flip", "crop", "cutout"}),
    Normalization: frozenset({"kind", "mean", "std"}),
    ModelChoice: frozenset({"name", "arguments", "code"}),
}
Record = Hyperparameters | Schedule | Augmentation | Normalization | ModelChoice


def identity_fields(record: Record) -> dict[str, Any]:
    """Return the fields of a record that enter an id, by name."""
    values = ((field, getattr(record, field.name)) for field in fields(record))
    kind: type = type(record)
    first = _first_fields(kind)
    return {field.name: value for field, value in values if field.name in first or value != _default(field)}


@cache
def _first_fields(kind: type) -> frozenset[str]:
    return next(names for known, names in FIRST_FIELDS.items() if issubclass(kind, known))


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
