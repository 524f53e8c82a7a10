"""Keys that take a component of a registry: a name, own code, or a mapping with the name and the component's fields.

    schedule: cosine
    schedule: {name: cosine, warmup: 2}
    early_stop: {method: mine.py:Ceiling, limit: 0.9}

All registries are read, checked and described alike. Only the components that a file names are imported, and own code
only where `OwnCode` says so. Errors are those of pydantic, with `unknown_key` and `missing_key` for the mapping's keys;
`error_messages.py` words them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic import ValidationInfo as Info
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from cnnsweep.config.aliases import usual_part
from cnnsweep.config.own_code import OWN_CODE, content_hash, fields_in_source, may_import, resolve_code
from cnnsweep.errors import UsageError
from cnnsweep.field_types import JsonSchema, Plain, found, mistake, not_allowed, unknown_name
from cnnsweep.plugins import is_reference
from cnnsweep.registry import Component, Origin, Registry
from cnnsweep.types import Choice

# Built when first used: each model once, as a part of the whole, instead of once for itself as well.
CLOSED = ConfigDict(frozen=True, extra="forbid", defer_build=True)
OPEN = ConfigDict(frozen=True, extra="allow", defer_build=True)

Wrong = tuple[tuple[str | int, ...], PydanticCustomError, Any]  # path below the key, error, value
_WORDED = ("said", "allowed", "unknown", "unknown_key", "missing_key")  # errors with a text of our own


class AnyArguments(BaseModel):
    """Arguments that only own code understands."""

    model_config = OPEN
    __pydantic_extra__: dict[str, Plain] = Field(init=False)


class OwnCode(Enum):
    """The check of a user's own code.

    Attributes:
        FIELDS: the names of its fields, read from the source.
        ANY: none here; its signature is read when the whole file is known.
        IMPORT: by its class, which is imported if that is allowed, and from the source otherwise.
        NEEDED: by its class, without which the file cannot be read.
    """

    FIELDS = auto()
    ANY = auto()
    IMPORT = auto()
    NEEDED = auto()


@dataclass(frozen=True, slots=True)
class Checked:
    """A component as a sweep file names it, with its checked fields.

    Attributes:
        fields: an instance of the component's class, or the arguments of own code that was not imported.
        extra: the values of the key's own fields, beside those of the component.
    """

    origin: Origin
    fields: BaseModel
    extra: BaseModel | None

    @property
    def component(self) -> Component | None:
        """The component, unless it is own code that was not imported."""
        return self.fields if isinstance(self.fields, Component) else None


def as_choice(checked: Checked) -> Choice:
    """Return the name, and the arguments that differ from their defaults as plain JSON values."""
    arguments = checked.fields.model_dump(mode="json", exclude_defaults=True)
    return Choice(checked.origin.name, arguments, checked.origin.code)


def as_given(checked: Checked) -> Choice:
    """Return the name, and the arguments that the file has."""
    arguments = checked.fields.model_dump(mode="json", exclude_unset=True)
    return Choice(checked.origin.name, arguments, checked.origin.code)


def as_component(checked: Checked) -> Component:
    """Return the component, with its name and the hash of its code."""
    component, origin = checked.component, checked.origin
    assert component is not None, "it is needed"
    file = getattr(sys.modules[type(component).__module__], "__file__", None)
    if origin.code is None and file is not None and not type(component).__module__.startswith("cnnsweep."):
        origin = Origin(origin.name, content_hash(Path(file)))  # of another package
    return component.found_as(origin)


@dataclass(eq=False, repr=False)
class ComponentField:
    """A component of a registry.

    Args:
        registry: of the implementations.
        example: a mapping, for messages; it begins with the key of the name.
        key: the key of the mapping that holds the name; empty where the name stands elsewhere.
        description: of that key, for the JSON Schema; by default from the components.
        none: the name for no component.
        flat: fields that are keys of `params`, and so may not stand in the mapping.
        left_out: names that may not be chosen.
        extra: a model of further keys of the mapping.
        own: the check of own code.
        arguments: a model of own code's arguments.
        see: the command that lists the names, where they are too many for a message.
        build: makes the value from the checked component.
    """

    registry: Registry[Any]
    example: str
    key: str = "name"
    description: str = ""
    none: str | None = None
    flat: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    extra: type[BaseModel] | None = None
    own: OwnCode = OwnCode.FIELDS
    arguments: type[BaseModel] = AnyArguments
    see: str = ""
    build: Callable[[Checked], Any] = as_choice

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self.read)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, those of other packages too; `none` is one where it stands for something that is done."""
        names = tuple(name for name in self.registry.names if name not in self.left_out)
        return names if self.none in (None, "none") else (str(self.none), *names)

    # Reading

    def read(self, value: object, info: Info) -> Any:
        """Return the value of the key.

        Raises:
            PydanticCustomError: it is neither a name nor a mapping.
            ValidationError: keys of the mapping are wrong.
        """
        if value is None and self.none == "none":
            return None
        mapping = {self.key: value} if isinstance(value, str) else value
        if not isinstance(mapping, dict):
            raise not_allowed(value, self._allowed)
        if self.key not in mapping:
            raise refused([((self.key,), self._missing_name(mapping), mapping)])
        name, arguments = mapping[self.key], {key: item for key, item in mapping.items() if key != self.key}
        if name == self.none:
            if arguments:
                raise refused([((key,), self.unknown_key(key, name, ()), item) for key, item in arguments.items()])
            return None
        try:
            origin = self.find(name, info)
            component = self._component(origin, may_import(info))
        except PydanticCustomError as error:
            raise refused([((self.key,), error, name)]) from None
        return self.build(self._check(origin, component, arguments))

    def find(self, name: object, info: Info) -> Origin:
        """Return a known name, or that of own code with the hash of its content.

        Raises:
            PydanticCustomError: it is neither.
        """
        if not isinstance(name, str):
            of_many = f"the name of a {self.registry.kind} (see `{self.see}`), or path.py:name"
            raise not_allowed(name, of_many if self.see else self._one_of_names)
        if is_reference(name):
            return resolve_code(name, info)
        if self.registry.knows(name):
            return Origin(name)
        listed = f"`{self.see}` lists what is known; your own code is path.py:name"
        allowed = f"allowed are {', '.join(self.names)}, or path.py:Name" if self.names else "your own is path.py:Name"
        raise unknown_name(name, self.names, listed if self.see else allowed)

    def check(self, choice: Choice) -> Any:
        """Return a choice with checked arguments; own code is not imported.

        Raises:
            ValidationError: arguments are unknown or wrong.
            PydanticCustomError: the package that has the component cannot be imported.
        """
        origin = Origin(choice.name, choice.code)
        return self.build(self._check(origin, self._component(origin, may_run=False), choice.arguments))

    def fields_of(self, choice: Choice) -> Mapping[str, Any] | None:
        """Return the fields of a component, by name, with their defaults; None where its source does not tell.

        Defaults of own code are not known, and None here.

        Raises:
            PydanticCustomError: the package that has it cannot be imported.
        """
        origin = Origin(choice.name, choice.code)
        component = self._component(origin, may_run=False)
        if component is not None:
            return {name: field.default for name, field in component.model_fields.items()}
        names = fields_in_source(origin.name, origin.code)
        return None if names is None else dict.fromkeys(names)

    def is_used_by_some(self, key: str) -> bool:
        """True if some component of the registry has a field."""
        return any(key in component.model_fields for _, component in self.registry.installed())

    def _component(self, origin: Origin, may_run: bool) -> type[Component] | None:
        """Return the class of a component; None for own code that is not imported."""
        if is_reference(origin.name):
            if self.own in (OwnCode.FIELDS, OwnCode.ANY) or (self.own is OwnCode.IMPORT and not may_run):
                return None
            if not may_run:
                raise mistake("names code of its own, which would be run; add --allow-code if you trust it")
        try:
            component: type[Component] = self.registry.get(origin.name)
        except UsageError as error:
            raise mistake(str(error)) from None
        return component

    def _check(self, origin: Origin, component: type[Component] | None, given: Mapping[str, Any]) -> Checked:
        own_keys = self.extra.model_fields if self.extra else {}
        extra = {key: item for key, item in given.items() if key in own_keys}
        rest = {key: item for key, item in given.items() if key not in own_keys}
        known = self._known_keys(origin, component)
        unknown = [key for key in rest if key in self.flat or (known is not None and key not in known)]
        shown = component.name if component and is_reference(origin.name) else origin.name.rpartition(":")[2]
        errors: list[Wrong] = [((key,), self.unknown_key(key, shown, known or ()), rest[key]) for key in unknown]
        of_component = {key: item for key, item in rest.items() if key not in unknown}
        fields = _validated(component or self.arguments, of_component, shown, errors)
        extra_values = None if self.extra is None else _validated(self.extra, extra, shown, errors)
        if errors or fields is None:
            raise refused(errors)
        return Checked(origin, fields, extra_values)

    def _known_keys(self, origin: Origin, component: type[Component] | None) -> Sequence[str] | None:
        """Return the keys that a component takes, without the name and `extra`; None where any will do."""
        if component is None:
            return None if self.own is OwnCode.ANY else fields_in_source(origin.name, origin.code)
        return None if component.model_config.get("extra") == "allow" else list(component.model_fields)

    # Errors

    @property
    def _allowed(self) -> str:
        if self.see:
            return f"the name of a {self.registry.kind} (see `{self.see}`), or a mapping with its name and arguments"
        return f"{self._one_of_names}, or a mapping such as {self.example}"

    @property
    def _one_of_names(self) -> str:
        return f"one of {', '.join(self.names)}" if self.names else "path.py:Name"

    def unknown_key(self, key: str, name: str = "", fields: Sequence[str] = ()) -> PydanticCustomError:
        """Return the error for a key that a component does not have; without one, for a key that is no name."""
        if key in self.flat:
            return mistake(f"is a key of its own: write `{key}` under params")
        extra = self.extra.model_fields if self.extra else ()
        known = (self.key, *extra, *(field for field in fields if field not in self.flat)) if name else self.names
        context = {"field": self, "name": name, "known": tuple(filter(None, known))}
        return PydanticCustomError("unknown_key", "unknown key", context)

    def _missing_name(self, given: Mapping[str, Any]) -> PydanticCustomError:
        # Without its name a mapping has no known keys, and none is unknown.
        for other in given:
            if usual_part(self.registry.kind, str(other), (self.key,)):
                text = f"missing; did you mean '{self.key}' by '{other}'?"
                return PydanticCustomError("missing_key", "{text}", {"text": text})
        return missing_key(self.example.strip("{}").partition(",")[0])

    # JSON Schema

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


@dataclass(eq=False, repr=False)
class ComponentList:
    """A list of components, as a tuple.

    Args:
        field: each item.
        allowed: the sentence for anything else than a list.
        most: number of items.
    """

    field: ComponentField
    allowed: str
    most: int | None = None

    def __get_pydantic_core_schema__(self, _source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        items = core_schema.list_schema(handler.generate_schema(Annotated[Any, self.field]), max_length=self.most)
        listed = core_schema.no_info_after_validator_function(tuple, items)
        return core_schema.no_info_before_validator_function(self._listed, listed)

    def _listed(self, value: object) -> object:
        if not isinstance(value, list):
            raise not_allowed(value, self.allowed)
        return value


def described_fields(schema: JsonSchema, name: str, left_out: Sequence[str] = ()) -> dict[str, JsonSchema]:
    """Return the JSON Schema of each field; of one without a description, its name stands for it."""
    fields = {key: field for key, field in schema.get("properties", {}).items() if key not in left_out}
    return {key: {"description": f"{key} of {name}", **field} for key, field in fields.items()}


def _schema_of(model: type[BaseModel], handler: GetJsonSchemaHandler) -> JsonSchema:
    model.model_rebuild()  # which its configuration puts off
    return handler.resolve_ref_schema(handler(model.__pydantic_core_schema__))


def _validated(model: type[BaseModel], given: Mapping[str, Any], name: str, errors: list[Wrong]) -> BaseModel | None:
    """Return an instance, or None and further errors."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            errors.append((details["loc"], _worded(details, model, name), details["input"]))
    return None


def _worded(details: Any, model: type[BaseModel], name: str) -> PydanticCustomError:
    kind, path = details["type"], details["loc"]
    if kind == "missing" and len(path) == 1:
        examples = model.model_fields[path[0]].examples
        return missing_key(f"{path[0]}: {examples[0]}" if examples else "")
    if kind in _WORDED and (path or kind != "said"):
        return PydanticCustomError(kind, kind, details.get("ctx"))
    if kind in ("missing", "extra_forbidden"):  # in a mapping below, whose model is known by the path
        return PydanticCustomError(kind, kind)
    text = details["ctx"]["text"] if kind == "said" else f"{found(details['input'])}: {_lowered(details['msg'])}"
    return mistake(text if path else f"{name}: {text}")


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


def missing_key(example: str) -> PydanticCustomError:
    """Return the error for a key that is not there, with one that might be."""
    return PydanticCustomError("missing_key", "{text}", {"text": missing_text(example)})


def missing_text(example: str) -> str:
    """Return the message for a key that is not there."""
    return f"missing; add for example `{example}`" if example else "missing"


def refused(errors: Sequence[Wrong]) -> ValidationError:
    """Return several errors, with their paths below the key, as one."""
    details = [InitErrorDetails(type=error, loc=path, input=given) for path, error, given in errors]
    return ValidationError.from_exception_data("component", details)


def again(error: ValidationError, *path: str) -> list[Wrong]:
    """Return the errors of a check once more, below a path."""
    return [
        ((*path, *one["loc"]), PydanticCustomError(one["type"], one["type"], one.get("ctx")), one["input"])
        for one in error.errors(include_url=False)
    ]
