"""The keys `metrics` and `metric`: further metrics to record, and the one that decides."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic import ValidationInfo as Info
from pydantic_core import CoreSchema, core_schema

from cnnsweep.config.component_errors import Wrong, refused
from cnnsweep.config.component_field import ComponentField, ComponentList
from cnnsweep.config.own_code import class_value
from cnnsweep.field_types import JsonSchema, mistake, not_allowed, unknown_name
from cnnsweep.metrics.base import METRICS, column_of
from cnnsweep.metrics.names import (
    ALWAYS,
    CHOICES,
    MetricInfo,
    is_metric_name,
    on_validation,
    recorded_names,
    without_prefix,
)
from cnnsweep.plugins import is_reference
from cnnsweep.types import Choice

_TAKEN = frozenset(  # columns of tables, and words that are keys elsewhere
    (
        *("run", "id", "configuration", "fold", "status", "failure", "cause", "epochs_done", "epochs_planned", "rank"),
        *("best_epoch", "epoch_duration", "run_duration", "parameters", "checkpoint", "stop", "in_file", "epoch"),
        *("steps", "duration", "name"),
    )
)


METRIC = ComponentField(METRICS, "{name: mine.py:Recall, k: 5}", left_out=tuple(ALWAYS))
METRIC_LIST = ComponentList(METRIC, "a list of metrics such as [top_k, mine.py:Recall], or [] for none", most=100)


def check_columns(choices: tuple[Choice, ...], reserved: frozenset[str]) -> tuple[Choice, ...]:
    """Return metrics whose names can be columns, beside those of the hyperparameters.

    Raises:
        ValidationError: some cannot.
    """
    columns = [column_of(choice) for choice in choices]
    errors: list[Wrong] = []
    for position, column in enumerate(columns):
        if column in ALWAYS:
            errors.append(((position,), mistake(f"{column} is recorded anyway; leave it out"), column))
        elif not is_metric_name(column) or column in reserved | _TAKEN:
            text = f"the metric is named '{column}', which is a column's name already or cannot be one"
            errors.append(((position,), mistake(text), column))
    if errors:
        raise refused(errors)
    if twice := next((name for name in columns if columns.count(name) > 1), None):
        raise mistake(f"'{twice}' is there twice; metrics are told apart by name")
    return choices


@dataclass(eq=False, repr=False)
class MetricName:
    """A recorded metric by name; it stands after `metrics` in the model, which it looks at."""

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._known)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"anyOf": [{"enum": list(CHOICES)}, {"type": "string", "description": "the name of one of `metrics`"}]}

    def _known(self, value: object, info: Info) -> str:
        further = (info.data or {}).get("metrics")
        columns = [column_of(choice) for choice in further or ()]
        names = (*CHOICES, *(name for column in columns for name in (on_validation(column), column)))
        if not isinstance(value, str):
            raise not_allowed(value, f"one of {', '.join(names)}")
        if value in names or further is None:  # a mistake in `metrics` has its own message
            return value
        if without_prefix(value) in METRICS.names:
            raise mistake(f"found '{value}', which is not recorded; add `metrics: [{without_prefix(value)}]`")
        raise unknown_name(value, names, f"allowed are {', '.join(names)}")


def recorded_metrics(metrics: tuple[Choice, ...]) -> tuple[str, ...]:
    """Return the names of all columns of metrics."""
    return recorded_names(map(column_of, metrics))


def foreseen(metrics: tuple[Choice, ...]) -> list[MetricInfo]:
    """Return name and direction of metrics without running code that a sweep file names: of that, by its source."""
    return [MetricInfo(column_of(choice), column_of(choice), _greater_is_better(choice)) for choice in metrics]


def _greater_is_better(choice: Choice) -> bool:
    if is_reference(choice.name):
        return class_value(choice.name, "greater_is_better") is not False
    return METRICS.get(choice.name).greater_is_better
