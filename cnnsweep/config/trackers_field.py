"""The `trackers` key: a list of names, each alone or in a mapping with the tracker's options."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic import ValidationInfo as Info
from pydantic_core import CoreSchema, InitErrorDetails, core_schema

from cnnsweep.config.choice_field import CUSTOM_CODE, may_import, resolve_code
from cnnsweep.errors import UsageError
from cnnsweep.field_types import JsonSchema, found, mistake, nearest_name, not_allowed, unknown_name
from cnnsweep.plugins import is_reference
from cnnsweep.registry import Component, Registry

_TRACKERS = Registry("tracker", "trackers", Component)  # the room above, which this one does not import, has the base


@dataclass(frozen=True, slots=True)
class TrackerChoice:
    """A tracker and its options.

    Attributes:
        name: as the registry has it, or `path.py:Name` with an absolute path.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def as_written(self) -> Any:
        """Return it as a sweep file has it."""
        return {"name": self.name, **self.options} if self.options else self.name


DEFAULT_TRACKERS = (TrackerChoice("tensorboard"),)


class Trackers:
    """A list of trackers; their options are checked by their own classes."""

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        choice = core_schema.with_info_plain_validator_function(_choice)
        choices = core_schema.list_schema(choice, strict=True)
        built = core_schema.no_info_after_validator_function(tuple, choices)
        return core_schema.no_info_before_validator_function(_as_list, built)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        name = {"anyOf": [{"enum": list(_TRACKERS.names)}, CUSTOM_CODE]}
        mapping = {"type": "object", "required": ["name"], "properties": {"name": name}}
        return {"type": "array", "items": {"anyOf": [name, mapping]}}


def _as_list(value: object) -> object:
    if not isinstance(value, list):
        raise not_allowed(value, "a list of trackers, such as [tensorboard], or [] for none")
    return value


def _choice(value: object, info: Info) -> TrackerChoice:
    options = {"name": value} if isinstance(value, str) else value
    if not isinstance(options, dict) or not isinstance(options.get("name"), str):
        raise not_allowed(value, "the name of a tracker, path.py:Name, or a mapping {name: ..., and its options}")
    name = options["name"]
    if is_reference(name):
        name = resolve_code(name, info).name
    elif name not in _TRACKERS.names:
        raise unknown_name(name, _TRACKERS.names, f"known are {', '.join(_TRACKERS.names)}; your own is path.py:Name")
    own = {key: item for key, item in options.items() if key != "name"}
    if not is_reference(name) or may_import(info):
        _check_options(name, own)
    return TrackerChoice(name, own)


def _check_options(name: str, options: dict[str, Any]) -> None:
    try:
        kind = _TRACKERS.get(name)
        kind.model_validate(options)
    except UsageError as error:
        raise mistake(str(error)) from None
    except ValidationError as error:
        known = list(kind.model_fields)
        details: list[InitErrorDetails] = [
            {"type": mistake(_in_words(one, known)), "loc": one["loc"], "input": one["input"]}
            for one in error.errors(include_url=False)
        ]
        raise ValidationError.from_exception_data(name, details) from None


def _in_words(error: Any, known: list[str]) -> str:
    key = str(error["loc"][-1])
    if error["type"] == "extra_forbidden":
        nearest = nearest_name(key, known)
        return f"unknown key; did you mean '{nearest}'?" if nearest else f"unknown key; allowed are {', '.join(known)}"
    if error["type"] == "missing":
        return "missing"
    context = error.get("ctx", {})
    if "text" in context:
        return str(context["text"])
    said = f", allowed is {context['allowed']}" if "allowed" in context else f": {error['msg']}"
    return f"{found(error['input'])}{said}"
