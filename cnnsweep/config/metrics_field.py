"""The keys `metrics` and `metric`: further metrics to record, and the one that decides."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic import ValidationInfo as Info
from pydantic_core import CoreSchema, core_schema

from cnnsweep.config.choice_field import CUSTOM_CODE, resolve_code
from cnnsweep.errors import UsageError
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
from cnnsweep.plugins import is_reference, module_file
from cnnsweep.storage.read_limited import read_bounded
from cnnsweep.types import Choice

_LIST = "a list of metrics such as [top_k, mine.py:Recall], each a name, path.py:Name, or a mapping with name"
_MOST = 100
_LONGEST_CODE = 10 << 20  # bytes of a Python file
_TAKEN = frozenset(  # columns of tables, and words that are keys elsewhere
    (
        *("run", "id", "configuration", "fold", "status", "failure", "cause", "epochs_done", "epochs_planned", "rank"),
        *("best_epoch", "epoch_duration", "run_duration", "parameters", "checkpoint", "stop", "in_file", "epoch"),
        *("steps", "duration", "name"),
    )
)


@dataclass(eq=False, repr=False)
class MetricList:
    """Metrics to record beside loss and accuracy, as `Choice`s.

    Args:
        reserved: the hyperparameters, whose names are columns too.
    """

    reserved: frozenset[str]

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        one = core_schema.with_info_plain_validator_function(self._choice)
        many = core_schema.list_schema(one, max_length=_MOST)
        checked = core_schema.no_info_after_validator_function(self._different, many)
        return core_schema.no_info_before_validator_function(_as_list, checked)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        names = [name for name in METRICS.names if name not in ALWAYS]
        named: list[JsonSchema] = [{"enum": names}] if names else []
        mapping = {"type": "object", "properties": {"name": {"anyOf": [*named, CUSTOM_CODE]}}, "required": ["name"]}
        return {"type": "array", "items": {"anyOf": [*named, CUSTOM_CODE, mapping]}, "maxItems": _MOST}

    def _choice(self, value: object, info: Info) -> Choice:
        given = {"name": value} if isinstance(value, str) else value
        if not isinstance(given, dict) or not isinstance(given.get("name"), str):
            raise not_allowed(value, "the name of a metric, path.py:Name, or a mapping with name")
        name, arguments = str(given["name"]), {key: item for key, item in given.items() if key != "name"}
        choice = _reference(name, arguments, info) if is_reference(name) else _known(name, arguments)
        column = column_of(choice)
        if column in ALWAYS:
            raise mistake(f"{column} is recorded anyway; leave it out")
        if not is_metric_name(column) or column in self.reserved | _TAKEN:
            raise mistake(f"the metric is named '{column}', which is a column's name already or cannot be one")
        return choice

    def _different(self, choices: list[Choice]) -> tuple[Choice, ...]:
        columns = [column_of(choice) for choice in choices]
        if twice := next((name for name in columns if columns.count(name) > 1), None):
            raise mistake(f"'{twice}' is there twice; metrics are told apart by name")
        return tuple(choices)


def _as_list(value: object) -> object:
    if value is None:
        return []
    if not isinstance(value, list):
        raise not_allowed(value, _LIST)
    return value


def _reference(name: str, arguments: dict[str, Any], info: Info) -> Choice:
    found = resolve_code(name, info)
    return Choice(found.name, arguments, found.code)


def _known(name: str, arguments: dict[str, Any]) -> Choice:
    known = tuple(one for one in METRICS.names if one not in ALWAYS)
    if name not in METRICS.names:
        raise unknown_name(name, known, "your own is path.py:Name")
    try:
        checked = METRICS.get(name).model_validate(arguments)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise mistake(f"metric {name}: {where}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None
    except UsageError as error:
        raise mistake(str(error)) from None
    return Choice(name, checked.model_dump(mode="json", exclude_defaults=True))


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
        if value in names or further is None:  # a mistake in `metrics` is told of by itself
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
    if not is_reference(choice.name):
        return METRICS.get(choice.name).greater_is_better
    place, _, name = choice.name.rpartition(":")
    file = Path(place) if place.endswith(".py") else module_file(place)
    try:
        tree = ast.parse(b"" if file is None else read_bounded(file, _LONGEST_CODE))
    except (SyntaxError, OSError, ValueError, RecursionError, MemoryError):  # told of when it is imported
        return True
    body = next((one.body for one in tree.body if isinstance(one, ast.ClassDef) and one.name == name), [])
    for statement in body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if any(isinstance(one, ast.Name) and one.id == "greater_is_better" for one in targets):
            value = getattr(statement, "value", None)
            return not (isinstance(value, ast.Constant) and value.value is False)
    return True
