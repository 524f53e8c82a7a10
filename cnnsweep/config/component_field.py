"""Keys that take an implementation of a registry, such as a schedule: a name, own code, or a mapping with its fields.

Each becomes a `Choice` with the fields that differ from their defaults. Built-in and installed implementations are
imported to be checked, those that a file names and no others; a user's own file is parsed, and checked when it is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic import ValidationInfo as Info
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from cnnsweep.config.choice_field import CUSTOM_CODE, resolve_code
from cnnsweep.config.component_source import fields_in_source
from cnnsweep.errors import UsageError
from cnnsweep.field_types import JsonSchema, found, mistake, not_allowed, require_finite, unknown_name
from cnnsweep.plugins import is_reference
from cnnsweep.registry import Component, Registry
from cnnsweep.types import Choice

Wrong = tuple[tuple[str | int, ...], PydanticCustomError, Any]  # place below the key, error, value
_OURS = ("said", "allowed", "unknown", "unknown_key", "missing_name")  # kinds of errors with a text of our own


@dataclass(eq=False, repr=False)
class ComponentField:
    """A name, a user's own code, or a mapping with `name` and fields.

    Args:
        registry: of the implementations.
        example: a mapping, for messages.
        flat: fields that are keys of `params`, and so may not stand in the mapping.
    """

    registry: Registry[Any]
    example: str
    flat: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._choice)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        variants: list[JsonSchema] = [
            {
                "type": "object",
                "properties": {"name": {"const": name}, **field_schemas(kind, self.flat)},
                "required": ["name"],
                "additionalProperties": False,
            }
            for name, kind in installed(self.registry)
        ]
        own = {"type": "object", "properties": {"name": CUSTOM_CODE}, "required": ["name"]}
        return {"anyOf": [{"enum": list(self.registry.names)}, CUSTOM_CODE, *variants, own]}

    def _choice(self, value: object, info: Info) -> Choice:
        given = {"name": value} if isinstance(value, str) else value
        if not isinstance(given, dict):
            names = ", ".join(self.registry.names)
            raise not_allowed(value, f"one of {names}, or a mapping such as {self.example}")
        if "name" not in given:
            raise refused(
                [(("name",), PydanticCustomError("missing_name", "missing", {"kind": self.registry.kind}), given)]
            )
        try:
            name, code = reference_to(self.registry, given["name"], info)
        except PydanticCustomError as error:
            raise refused([(("name",), error, given["name"])]) from None
        arguments = {key: item for key, item in given.items() if key != "name"}
        return Choice(name, check_arguments(self.registry, Choice(name, arguments, code), self.flat), code)


def reference_to(registry: Registry[Any], name: object, info: Info) -> tuple[str, str | None]:
    """Return a known name, or that of own code with the hash of its content.

    Raises:
        PydanticCustomError: it is none of them.
    """
    if isinstance(name, str) and is_reference(name):
        reference = resolve_code(name, info)
        return reference.name, reference.code
    if isinstance(name, str) and registry.knows(name):
        return name, None
    names = ", ".join(registry.names)
    if not isinstance(name, str):
        raise not_allowed(name, f"one of {names}")
    raise unknown_name(name, registry.names, f"allowed are {names}")


def check_arguments(registry: Registry[Any], choice: Choice, flat: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the arguments of a choice that differ from their defaults, as plain JSON values.

    Raises:
        ValidationError: some are unknown or wrong.
        PydanticCustomError: the package that has the implementation cannot be imported.
    """
    fields = fields_of(registry, choice)
    errors: list[Wrong] = [
        ((key,), _unknown_key(registry.kind, key, choice.name, fields, flat), item)
        for key, item in choice.arguments.items()
        if key in flat or (fields is not None and key not in fields)
    ]
    known = {key: item for key, item in choice.arguments.items() if not any(at == (key,) for at, *_ in errors)}
    checked: dict[str, Any] = {}
    if is_reference(choice.name):
        checked = {key: _plain(key, item, errors) for key, item in known.items()}
    else:
        try:
            checked = registry.get(choice.name).model_validate(known).model_dump(mode="json", exclude_defaults=True)
        except ValidationError as error:
            errors += [(details["loc"], _in_our_words(details), details["input"]) for details in error.errors()]
    if errors:
        raise refused(errors)
    return checked


def fields_of(registry: Registry[Any], choice: Choice) -> Mapping[str, Any] | None:
    """Return the fields of an implementation, by name, with their defaults; None where its source does not tell.

    Defaults of own code are not known, and None here.

    Raises:
        PydanticCustomError: the package that has it cannot be imported.
    """
    if is_reference(choice.name):
        names = fields_in_source(choice.name, choice.code)
        return None if names is None else dict.fromkeys(names)
    try:
        return {name: field.default for name, field in registry.get(choice.name).model_fields.items()}
    except UsageError as error:
        raise mistake(str(error)) from None


def installed(registry: Registry[Any]) -> Iterator[tuple[str, type[Component]]]:
    """Yield every known implementation; of other packages, those that can be imported."""
    for name in registry.names:
        with contextlib.suppress(UsageError):
            yield name, registry.get(name)


def field_schemas(kind: type[Component], left_out: tuple[str, ...] = ()) -> dict[str, JsonSchema]:
    """Return the JSON Schema of each field; of one without a description, its name stands for it."""
    properties = kind.model_json_schema().get("properties", {})
    return {
        name: {"description": f"{name} of {kind.name}", **schema}
        for name, schema in properties.items()
        if name not in left_out
    }


def refused(errors: Sequence[Wrong]) -> ValidationError:
    """Return several errors, with their places below the key, as one."""
    details = [InitErrorDetails(type=error, loc=loc, input=given) for loc, error, given in errors]
    return ValidationError.from_exception_data("component", details)


def _unknown_key(
    kind: str, key: str, name: str, fields: Mapping[str, Any] | None, flat: tuple[str, ...]
) -> PydanticCustomError:
    if key in flat:
        return mistake(f"is a key of its own: write `{key}` beside `{kind}`, under params")
    known = ("name", *(field for field in fields or () if field not in flat))
    return PydanticCustomError("unknown_key", "unknown key", {"kind": kind, "name": name, "known": known})


def _plain(key: str, value: Any, errors: list[Wrong]) -> Any:
    try:
        return require_finite(value)
    except PydanticCustomError as error:
        errors.append(((key,), error, value))


def _in_our_words(details: Any) -> PydanticCustomError:
    if details["type"] in _OURS:
        return PydanticCustomError(details["type"], details["type"], details.get("ctx"))
    return mistake(f"{found(details['input'])}: {details['msg'][:1].lower()}{details['msg'][1:]}")
