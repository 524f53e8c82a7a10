"""Field of the sweep file that names a sampler or a pruner: a name, or a mapping with the name and its own keys.

    early_stop: halving
    early_stop: {method: halving, factor: 4}
    early_stop: {method: mine.py:Ceiling, limit: 0.9}

The keys are the fields of the component's class. All mistakes in a mapping go to `error_messages.py` as one error of
pydantic's, with the class, because which keys there are is known only after the name.
"""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic import ValidationInfo as Info
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cnnsweep.config.choice_field import CUSTOM_CODE, may_import, resolve_code
from cnnsweep.errors import UsageError
from cnnsweep.field_types import JsonSchema, mistake, not_allowed, unknown_name
from cnnsweep.plugins import is_reference
from cnnsweep.registry import Component, Origin, Registry
from cnnsweep.storage.read_limited import read_bounded

MISTAKES = "component"  # the type of pydantic's error
_LONGEST_CODE = 10 << 20  # bytes of a Python file


@dataclass(eq=False, repr=False)
class MethodField:
    """A component of a registry, or none.

    Args:
        key: the key of the mapping that holds the name.
        none: the name that means no component.
        example: a mapping, for messages; it begins with the key and a name.
        description: of the key, for the JSON Schema.
    """

    registry: Registry[Any]
    key: str
    none: str
    example: str
    description: str

    @property
    def allowed(self) -> str:
        """The names in messages; `none` is one of them where it stands for something that is done."""
        return f"one of {', '.join(self.names)}, or a mapping such as {self.example}"

    @property
    def names(self) -> tuple[str, ...]:
        """All names, of other packages too."""
        return self.registry.names if self.none == "none" else (self.none, *self.registry.names)

    def fields_of(self, component: type[Component]) -> list[str]:
        """Return the keys of a component's mapping."""
        return [self.key, *component.model_fields]

    def is_used_by_some(self, key: str) -> bool:
        """Return whether some component of this registry has a key."""
        return any(key in self.registry.get(name).model_fields for name in self.registry.names)

    def written(self, component: Component | None) -> dict[str, Any]:
        """Return the mapping that a sweep file has, with the defaults; keys without a value are left out."""
        if component is None:
            return {self.key: self.none}
        values = component.model_dump(mode="json")
        return {self.key: component.origin.name, **{key: item for key, item in values.items() if item is not None}}

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        classes = {name: self.registry.get(name) for name in self.registry.names}
        plain = [name for name, one in classes.items() if not any(f.is_required() for f in one.model_fields.values())]
        named: JsonSchema = {"enum": [self.none, *([None] if self.none == "none" else []), *plain]}
        mappings = [
            self._mapping_schema(name, handler.resolve_ref_schema(handler(_core(one)))) for name, one in classes.items()
        ]
        nothing: list[JsonSchema] = [] if self.none == "none" else [self._mapping_schema(self.none, {})]
        own = {**self._mapping_schema("", {}), "additionalProperties": True}
        own["properties"] = {self.key: {**CUSTOM_CODE, "description": self.description}}
        return {"anyOf": [named, CUSTOM_CODE, *nothing, *mappings, own]}

    def _mapping_schema(self, name: str, schema: JsonSchema) -> JsonSchema:
        key = {self.key: {"const": name, "description": self.description}}
        return {
            "type": "object",
            "properties": {**key, **schema.get("properties", {})},
            "required": [self.key, *schema.get("required", [])],
            "additionalProperties": False,
        }

    def _read(self, value: object, info: Info) -> Component | None:
        if value is None and self.none == "none":
            return None
        mapping = {self.key: value} if isinstance(value, str) else value
        if not isinstance(mapping, dict):
            raise not_allowed(value, self.allowed)
        if self.key not in mapping:
            raise self._mistakes(None, [{"loc": (self.key,), "type": "missing", "input": mapping}])
        name, rest = mapping[self.key], {key: item for key, item in mapping.items() if key != self.key}
        if name == self.none:
            self._refuse_keys_of_none(rest)
            return None
        try:
            component, origin = self._find(name, info)
        except PydanticCustomError as error:
            details = {"type": error.type, "input": name, "ctx": error.context, "msg": error.message()}
            raise self._mistakes(None, [{"loc": (self.key,), **details}]) from None
        try:
            return component.model_validate(rest, context=info.context).found_as(origin)
        except ValidationError as error:
            raise self._mistakes(component, error.errors(include_url=False)) from None

    def _refuse_keys_of_none(self, rest: Mapping[str, Any]) -> None:
        if rest:
            errors = [{"loc": (key,), "type": "extra_forbidden", "input": item} for key, item in rest.items()]
            raise self._mistakes(None, errors)

    def _find(self, name: object, info: Info) -> tuple[type[Component], Origin]:
        if not isinstance(name, str):
            raise not_allowed(name, f"one of {', '.join(self.names)}")
        if not is_reference(name):
            component = self._load(name)
            return component, Origin(name, _code_of(component))
        reference = resolve_code(name, info)
        if not may_import(info):
            raise mistake("names code of its own, which would be run; add --allow-code if you trust it")
        return self._load(reference.name), Origin(reference.name, reference.code)

    def _load(self, name: str) -> type[Component]:
        try:
            component: type[Component] = self.registry.get(name)
        except KeyError:
            raise unknown_name(name, self.names, f"allowed are {', '.join(self.names)}, or path.py:Name") from None
        except UsageError as error:
            raise mistake(str(error)) from None
        return component

    def _mistakes(self, component: type[Component] | None, errors: list[Any]) -> PydanticCustomError:
        return PydanticCustomError(MISTAKES, "{text}", {"text": "", "of": self, "class": component, "errors": errors})


def _core(component: type[Component]) -> Any:
    component.model_rebuild()  # which its configuration puts off
    return component.__pydantic_core_schema__


def _code_of(component: type[Component]) -> str | None:
    """Return the content hash of the file of a class that another package has."""
    file = getattr(sys.modules[component.__module__], "__file__", None)
    if component.__module__.startswith("cnnsweep.") or file is None:
        return None
    try:
        return hashlib.sha256(read_bounded(Path(file), _LONGEST_CODE)).hexdigest()
    except (OSError, ValueError):
        return None
