"""The keys `metrics` and `metric`: further metrics to record, and the one that decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic import ValidationInfo as Info
from pydantic_core import CoreSchema, core_schema

from cnnsweep.config.component_errors import Wrong, refused
from cnnsweep.config.component_field import ComponentField, ComponentList
from cnnsweep.config.own_code import attribute_value
from cnnsweep.field_types import JsonSchema, mistake, nearest_name, not_allowed, quoted, unknown_name
from cnnsweep.metrics.base import METRICS, column_of
from cnnsweep.metrics.names import (
    ALWAYS,
    CHOICES,
    CLASS_METRICS,
    LOSS,
    TOP_K,
    MetricInfo,
    as_mapping,
    is_built_in_name,
    is_metric_name,
    is_on_validation,
    of_class,
    on_validation,
    split_class,
    without_prefix,
)
from cnnsweep.plugins import is_reference
from cnnsweep.registry import Origin
from cnnsweep.types import Choice

_TAKEN = frozenset(  # columns of tables, and words that are keys elsewhere
    (
        *("run", "id", "configuration", "fold", "status", "failure", "cause", "epochs_done", "epochs_planned", "rank"),
        *("best_epoch", "epoch_duration", "run_duration", "parameters", "checkpoint", "stop", "in_file", "epoch"),
        *("steps", "duration", "name"),
    )
)
TOP_5 = "top_5"  # the example of `top_k`
_OTHER_TEXTS: JsonSchema = {
    "type": "string",
    "pattern": rf"^(top_[1-9]\d*|({'|'.join(CLASS_METRICS)})\[.+\])$",
    "description": "a metric with a number or a class in its name, such as top_5 or recall[truck]",
}


@dataclass(eq=False, repr=False)
class MetricField(ComponentField):
    """A metric: a name such as `macro_f1`, `top_5` or `recall[truck]`, own code, or a mapping."""

    def read(self, value: object, info: Info) -> Any:
        """Return the choice."""
        if not isinstance(value, str):
            return super().read(value, info)
        if value in CLASS_METRICS:
            raise mistake(f"found '{value}', which is of one class: write {of_class(value, 'truck')}, or macro_{value}")
        if value == LOSS:
            raise mistake(f"{value} is recorded anyway; leave it out")
        own = without_prefix(value)
        _check_brackets(own)
        if is_on_validation(value) and not is_reference(value) and (as_mapping(own) or METRICS.knows(own)):
            raise mistake(f"found '{value}'; write {own}: it is measured on validation images anyway")
        return super().read(as_mapping(value) or value, info)

    def find(self, name: object, info: Info) -> Origin:
        """Return a known name, or that of own code with the hash of its content.

        Raises:
            PydanticCustomError: it is neither.
        """
        if isinstance(name, str) and (mapping := as_mapping(name)):
            arguments = ", ".join(f"{key}: {item}" for key, item in mapping.items())
            raise mistake(f"found {quoted(name)}; write it without a mapping, or as {{{arguments}}}")
        if isinstance(name, str) and not is_reference(name) and not self.registry.knows(name):
            raise unknown_name(name, (*self.names, TOP_5), f"allowed are {_listed()}, or path.py:name")
        return super().find(name, info)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"anyOf": [*super().__get_pydantic_json_schema__(schema, handler)["anyOf"], _OTHER_TEXTS]}


def _check_brackets(text: str) -> None:
    """Refuse brackets that do not hold the class of a metric of one class.

    Raises:
        PydanticCustomError: they do not.
    """
    kind, bracket, _ = text.partition("[")
    if not bracket or is_reference(text) or (kind in CLASS_METRICS and split_class(text)[1] is not None):
        return
    nearest = nearest_name(kind.strip(), CLASS_METRICS)
    known = [of_class(one, "class") for one in CLASS_METRICS if nearest in (None, one)]
    raise mistake(f"found {quoted(text)}; of one class {'is' if nearest else 'are'} {', '.join(known)}")


METRIC = MetricField(METRICS, "{name: mine.py:Recall, k: 5}", left_out=tuple(ALWAYS))
METRIC_LIST = ComponentList(METRIC, "a list of metrics such as [macro_f1, mine.py:Recall], or [] for none", most=100)


def check_columns(choices: tuple[Choice, ...], reserved: frozenset[str]) -> tuple[Choice, ...]:
    """Return metrics whose names can be columns, beside those of the hyperparameters.

    Raises:
        ValidationError: some cannot.
    """
    columns = [column_of(choice) for choice in choices]
    wrong = [_wrong_column(*one, reserved) for one in zip(choices, columns, strict=True)]
    errors: list[Wrong] = [
        ((position,), mistake(text), columns[position]) for position, text in enumerate(wrong) if text is not None
    ]
    if errors:
        raise refused(errors)
    if twice := next((name for name in columns if columns.count(name) > 1), None):
        raise mistake(f"'{twice}' is there twice; metrics are told apart by name")
    return choices


def _wrong_column(choice: Choice, column: str, reserved: frozenset[str]) -> str | None:
    if column in ALWAYS:
        return f"{column} is recorded anyway; leave it out"
    if not is_metric_name(column) or column in reserved | _TAKEN:
        return f"the metric is named {column!r}, which is a column's name already or cannot be one"
    if is_reference(choice.name) and is_built_in_name(column):
        return f"the metric is named '{column}', which is the name of a built-in metric; rename it"
    return None


@dataclass(frozen=True, slots=True)
class DecidingMetric:
    """The metric that decides, as the sweep file has it.

    Attributes:
        name: its column in tables, with or without the prefix.
        choice: the metric, where it need not stand in `metrics`.
    """

    name: str
    choice: Choice | None = None

    def column(self, *, is_held_out: bool) -> str:
        """Return its column: loss and accuracy are as written, others on held-out images where there are any."""
        if self.name in CHOICES or not is_held_out:
            return self.name
        return on_validation(self.name)

    def recorded_with(self, metrics: tuple[Choice, ...]) -> tuple[Choice, ...]:
        """Return all metrics to record beside loss and accuracy."""
        return metrics if self.choice is None or self.choice in metrics else (*metrics, self.choice)


@dataclass(eq=False, repr=False)
class MetricName:
    """The metric that decides; it stands after `metrics` in the model, which it looks at.

    Args:
        reserved: the names of other columns.
    """

    reserved: frozenset[str] = frozenset()

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._known)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        of_metrics = {"type": "string", "description": "the name of one of `metrics`"}
        mappings = [
            one for one in METRIC.__get_pydantic_json_schema__(schema, handler)["anyOf"] if one.get("type") == "object"
        ]
        return {"anyOf": [{"enum": list(CHOICES)}, of_metrics, *mappings]}

    def _known(self, value: object, info: Info) -> DecidingMetric:
        further = (info.data or {}).get("metrics")
        columns = [column_of(choice) for choice in further or ()]
        if isinstance(value, dict):
            return self._named("", METRIC.read(value, info), further or ())
        if not isinstance(value, str):
            raise not_allowed(value, f"one of {_allowed(columns)}, or a mapping such as {METRIC.example}")
        if value in CHOICES or without_prefix(value) in columns:
            return DecidingMetric(value)
        prefix = "val_" if is_on_validation(value) and not is_reference(value) else ""
        own = value.removeprefix(prefix)
        if is_reference(own) or "[" in own or as_mapping(own) or METRICS.knows(own):
            return self._named(prefix, METRIC.read(own, info), further or ())
        if further is None:  # a mistake in `metrics` has its own message
            return DecidingMetric(value)
        of_all = [name for name in (*METRIC.names, TOP_5) if name not in CLASS_METRICS]
        names = dict.fromkeys([*CHOICES, *_both(columns), *_both(of_all)])
        raise unknown_name(value, tuple(names), f"allowed are {_allowed(columns)}, or path.py:name")

    def _named(self, prefix: str, choice: Choice, further: tuple[Choice, ...]) -> DecidingMetric:
        column = column_of(choice)
        if (wrong := _wrong_column(choice, column, self.reserved)) is not None:
            raise mistake(wrong)
        if any(column_of(other) == column and other != choice for other in further):
            raise mistake(f"'{column}' is among `metrics` too, and another one; metrics are told apart by name")
        return DecidingMetric(prefix + column, choice)


def _both(columns: Iterable[str]) -> list[str]:
    return [name for column in columns for name in (on_validation(column), column)]


def _allowed(columns: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys([*CHOICES, *_both(columns), _listed()]))


def _listed() -> str:
    """Return the built-in metrics as a sweep file spells them."""
    names = [name for name in METRIC.names if name not in CLASS_METRICS and name != TOP_K]
    return ", ".join([*names, TOP_5, *(of_class(kind, "class") for kind in CLASS_METRICS)])


def foreseen(metrics: tuple[Choice, ...]) -> list[MetricInfo]:
    """Return name and direction of metrics without running code that a sweep file names: of that, by its source."""
    return [MetricInfo(column_of(choice), column_of(choice), _greater_is_better(choice)) for choice in metrics]


def _greater_is_better(choice: Choice) -> bool:
    if is_reference(choice.name):
        return attribute_value(choice.name, "greater_is_better") is not False
    return METRICS.get(choice.name).greater_is_better
