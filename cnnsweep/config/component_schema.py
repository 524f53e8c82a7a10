"""A key that takes a component of a registry: its names, its messages and its JSON Schema."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError

from cnnsweep.config.aliases import usual_part
from cnnsweep.config.component_errors import missing_key
from cnnsweep.config.own_code import OWN_CODE
from cnnsweep.field_types import JsonSchema, Plain, mistake
from cnnsweep.registry import Registry

# Built when first used: each model once, as a part of the whole, instead of once for itself as well.
CLOSED = ConfigDict(frozen=True, extra="forbid", defer_build=True)
OPEN = ConfigDict(frozen=True, extra="allow", defer_build=True)


class AnyArguments(BaseModel):
    """Arguments that only own code understands."""

    model_config = OPEN
    __pydantic_extra__: dict[str, Plain] = Field(init=False)


@dataclass(eq=False, repr=False)
class ComponentKey:
    """A key that takes the name of a component, or a mapping with the name and the component's fields.

    Args:
        registry: of the implementations.
        example: a mapping, for messages; it begins with the key of the name.
        key: the key of the mapping that holds the name; empty where the name stands elsewhere.
        description: of that key, for the JSON Schema; by default from the components.
        none: the name for no component.
        flat: fields that are keys of `params`, and so may not stand in the mapping.
        left_out: names that may not be chosen.
        extra: a model of further keys of the mapping.
        arguments: a model of own code's arguments.
        any_case: names may have capitals, as those of torch's classes.
        refused: names, in lower case and of letters and digits alone, that cannot be used, with the reason.
        see: the command that lists the names, where they are too many for a message.
    """

    registry: Registry[Any]
    example: str
    key: str = "name"
    description: str = ""
    none: str | None = None
    flat: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    extra: type[BaseModel] | None = None
    arguments: type[BaseModel] = AnyArguments
    any_case: bool = False
    refused: Mapping[str, str] = field(default_factory=dict)
    see: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """All names, those of other packages too; `none` is one where it stands for something that is done."""
        names = tuple(name for name in self.registry.names if name not in self.left_out)
        return names if self.none in (None, "none") else (str(self.none), *names)

    @property
    def allowed(self) -> str:
        """The sentence for anything else than text or a mapping."""
        if self.see:
            return f"the name of a {self.registry.kind} (see `{self.see}`), or a mapping with its name and arguments"
        return f"{self.one_of_names}, or a mapping such as {self.example}"

    @property
    def one_of_names(self) -> str:
        """The sentence for a name that is no text."""
        return f"one of {', '.join(self.names)}" if self.names else "path.py:Name"

    def unknown_key(self, key: str, name: str = "", fields: Sequence[str] = ()) -> PydanticCustomError:
        """Return the error for a key that a component does not have; without one, for a key that is no name."""
        if key in self.flat:
            return mistake(f"is a key of its own: write `{key}` under params")
        extra = self.extra.model_fields if self.extra else ()
        known = (self.key, *extra, *(field for field in fields if field not in self.flat)) if name else self.names
        context = {"field": self, "name": name, "known": tuple(filter(None, known))}
        return PydanticCustomError("unknown_key", "unknown key", context)

    def missing_name(self, given: Mapping[str, Any]) -> PydanticCustomError:
        """Return the error for a mapping without a name."""
        # Without its name a mapping has no known keys, and none is unknown.
        for other in given:
            if usual_part(self.registry.kind, str(other), (self.key,)):
                text = f"missing; did you mean '{self.key}' by '{other}'?"
                return PydanticCustomError("missing_key", "{text}", {"text": text})
        return missing_key(self.example.strip("{}").partition(",")[0])

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        extra = {} if self.extra is None else _schema_of(self.extra, handler)["properties"]
        groups: dict[str, tuple[list[str], JsonSchema, str]] = {}  # names with the same fields
        for names, component in self.registry.installed():
            schema, offered = _schema_of(component, handler), [name for name in names if name not in self.left_out]
            fields = {key: schema.get(key) for key in ("properties", "required", "additionalProperties")}
            groups.setdefault(json.dumps(fields), ([], schema, component.summary()))[0].extend(offered)
        complete = [self.none, None] if self.none == "none" else [] if self.none is None else [self.none]
        complete += [name for names, schema, _ in groups.values() if not schema.get("required") for name in names]
        nothing: list[tuple[list[str], JsonSchema, str]] = (
            [([str(self.none)], {}, "")] if self.none not in (None, "none") else []
        )
        mappings = [self._mapping(*group, extra) for group in (*nothing, *groups.values()) if group[0]]
        own = self._mapping([], _schema_of(self.arguments, handler), "", extra)
        return {"anyOf": [*([{"enum": complete}] if complete else []), OWN_CODE, *mappings, own]}

    def _mapping(
        self, names: Sequence[str], schema: JsonSchema, summary: str, extra: Mapping[str, JsonSchema]
    ) -> JsonSchema:
        """Return the schema of a mapping for components that share their fields; without names, for own code."""
        name = {"const": names[0]} if len(names) == 1 else {"enum": list(names)} if names else OWN_CODE
        described = self.description or (summary if len(names) == 1 else f"name of the {self.registry.kind}")
        fields = described_fields(schema, names[0] if names else "", self.flat)
        return {
            "type": "object",
            "properties": {self.key: {"description": described, **name}, **extra, **fields},
            "required": [self.key, *schema.get("required", [])],
            "additionalProperties": not names or schema.get("additionalProperties", False) is not False,
        }


def described_fields(schema: JsonSchema, name: str, left_out: Sequence[str] = ()) -> dict[str, JsonSchema]:
    """Return the JSON Schema of each field; of one without a description, its name stands for it."""
    fields = {key: field for key, field in schema.get("properties", {}).items() if key not in left_out}
    return {key: {"description": f"{key} of {name}", **field} for key, field in fields.items()}


def _schema_of(model: type[BaseModel], handler: GetJsonSchemaHandler) -> JsonSchema:
    model.model_rebuild()  # which its configuration puts off
    return handler.resolve_ref_schema(handler(model.__pydantic_core_schema__))
