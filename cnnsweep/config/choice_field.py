"""Keys that take a name, or a mapping with a name and its arguments: the mechanism.

`dataset_field.py` and `model_entry.py` list the names; each entry is checked against a pydantic model of its own and
becomes a value of `types.py`. `component_field.py` is the same for the implementations of a registry.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic import ValidationInfo as Info
from pydantic_core import CoreSchema, core_schema

from cnnsweep.field_types import JsonSchema, found, mistake, not_allowed, quoted, unknown_name
from cnnsweep.plugins import module_file
from cnnsweep.storage.read_limited import read_bounded

# Built when first used: each variant once, as a part of the whole, instead of once for itself as well.
CLOSED = ConfigDict(frozen=True, extra="forbid", defer_build=True)
OPEN = ConfigDict(frozen=True, extra="allow", defer_build=True)

_LONGEST_CODE = 10 << 20  # bytes of a Python file

ALLOW_CODE = "allow_code"  # in pydantic's context

CUSTOM_CODE: JsonSchema = {
    "type": "string",
    "pattern": r"^.+:[A-Za-z_]\w*$",
    "description": "your own code: package.module:name, or path.py:name",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A data set or model by name; `code` is the content hash of a person's own file or module. A path is absolute."""

    name: str
    code: str | None = None


@dataclass(eq=False, repr=False)
class NameOrCode:
    """A known name, or a person's own `package.module:name` or `path.py:name`.

    Args:
        kind: what it names, for messages.
        known: all known names.
        see: the command that lists them.
        offered: the names that the JSON Schema offers here; without any it asks for a person's own code.
    """

    kind: str
    known: tuple[str, ...]
    see: str
    offered: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._reference)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"enum": list(self.offered)} if self.offered else CUSTOM_CODE

    def offering(self, *names: str) -> "NameOrCode":
        """Return the same check with a JSON Schema for some of the names."""
        return replace(self, offered=names)

    def _reference(self, value: object, info: Info) -> Reference:
        if not isinstance(value, str):
            raise not_allowed(value, f"the name of a {self.kind} (see `{self.see}`), or path.py:name")
        if value in self.known:
            return Reference(value)
        if ":" not in value:
            raise unknown_name(value, self.known, f"`{self.see}` lists what is known; your own code is path.py:name")
        return resolve_code(value, info)


def may_import(info: Info) -> bool:
    """Return whether code that the sweep file names may be imported; that of another user is not, unless allowed."""
    return bool((info.context or {}).get(ALLOW_CODE, True))


def resolve_code(value: str, info: Info) -> Reference:
    """Return the reference that `package.module:name` or `path.py:name` means in the sweep file's folder."""
    file, _, attribute = value.rpartition(":")
    if file.endswith(".py") and attribute.isidentifier():
        return _code_in_file(file, attribute, (info.context or {}).get("folder", Path()))
    if attribute.isidentifier() and all(map(str.isidentifier, file.split("."))):
        return _code_in_module(file, value)
    raise not_allowed(value, "package.module:name or path.py:name")


def _code_in_file(file: str, attribute: str, folder: Path) -> Reference:
    path = (folder / Path(file).expanduser()).absolute()
    try:
        content = read_bounded(path, _LONGEST_CODE)
    except FileNotFoundError:
        looked_in = "" if Path(file).is_absolute() else " in the sweep file's folder"
        raise mistake(f"there is no file {quoted(file)}{looked_in}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise mistake(f"{found(file)} cannot be read: {reason}") from None
    return Reference(f"{path}:{attribute}", hashlib.sha256(content).hexdigest())


def _code_in_module(module: str, name: str) -> Reference:
    file = module_file(module)
    try:
        return Reference(name, None if file is None else hashlib.sha256(read_bounded(file, _LONGEST_CODE)).hexdigest())
    except OSError:
        return Reference(name)  # importing it will say what is wrong


@dataclass(eq=False, repr=False)
class Entry:
    """A name, or a mapping whose `name` decides which other keys there are.

    Args:
        names: the known names, for the JSON Schema.
        own_code: whether a person's own `path.py:name` is a name too.
        variants: the pydantic models of the mapping, by a tag in angle brackets.
        variant_of: gives the tag for a mapping; unknown and missing names need one too.
        build: makes the record from the checked model.
        allowed: the sentence for what is neither text nor a mapping.
        key: which key of the mapping holds the name.
    """

    names: tuple[str, ...]
    own_code: bool
    variants: Mapping[str, type[BaseModel]]
    variant_of: Callable[[dict[str, Any]], str]
    build: Callable[[Any], Any]
    allowed: str
    key: str = "name"

    def __get_pydantic_core_schema__(self, _source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        schemas = {tag: handler.generate_schema(variant) for tag, variant in self.variants.items()}
        checked = core_schema.tagged_union_schema(dict(schemas), discriminator=self.variant_of)
        built = core_schema.no_info_after_validator_function(self.build, checked)
        return core_schema.no_info_before_validator_function(self._as_mapping, built)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        names: list[JsonSchema] = [{"enum": list(self.names)}, *([CUSTOM_CODE] if self.own_code else [])]
        variants: list[JsonSchema] = []
        for variant in handler(schema)["oneOf"]:
            if variant not in variants:  # one of several names stands for all of them
                variants.append(variant)
        return {"anyOf": [*names, *variants]}

    def _as_mapping(self, value: object) -> object:
        if isinstance(value, str):
            return {self.key: value}
        if not isinstance(value, dict):
            raise not_allowed(value, self.allowed)
        return value


def name_of(mapping: dict[str, Any], key: str = "name") -> str:
    """Return the name that a mapping gives, or nothing where it gives none."""
    name = mapping.get(key)
    return name if isinstance(name, str) else ""
