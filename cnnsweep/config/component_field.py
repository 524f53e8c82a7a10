"""Keys that take a component of a registry: a name, own code, or a mapping with the name and the component's fields.

    schedule: cosine
    schedule: {name: cosine, warmup: 2}
    early_stop: {method: mine.py:Ceiling, limit: 0.9}

All registries are read, checked and described alike. Only the components that a file names are imported, and own code
only as `OwnCode` allows. Errors are those of pydantic, with `unknown_key` and `missing_key` for the mapping's keys;
`error_messages.py` words them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic import ValidationInfo as Info
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cnnsweep.config.aliases import plain
from cnnsweep.config.component_errors import Wrong, refused, validated
from cnnsweep.config.component_schema import ComponentKey
from cnnsweep.config.own_code import content_hash, fields_in_source, may_import, resolve_code
from cnnsweep.errors import UsageError
from cnnsweep.field_types import mistake, not_allowed, quoted, unknown_name
from cnnsweep.plugins import is_reference
from cnnsweep.registry import Component, Origin
from cnnsweep.types import Choice


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
class ComponentField(ComponentKey):
    """A component of a registry, read and checked.

    Args:
        own: the check of own code.
        by_name: packages whose code counts by its name, not by its content.
        yields: keys of `extra` that a component's own field of the same name replaces.
        build: makes the value from the checked component.
    """

    own: OwnCode = OwnCode.FIELDS
    by_name: tuple[str, ...] = ()
    yields: tuple[str, ...] = ()
    build: Callable[[Checked], Any] = as_choice

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self.read)

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
            raise not_allowed(value, self.allowed)
        if self.key not in mapping:
            raise refused([((self.key,), self.missing_name(mapping), mapping)])
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
            raise not_allowed(name, of_many if self.see else self.one_of_names)
        if is_reference(name):
            origin = resolve_code(name, info)
            return Origin(name) if name.partition(".")[0] in self.by_name else origin
        if self.registry.knows(name):
            return Origin(name)
        if self.any_case and self.registry.knows(name.lower()):
            return Origin(name.lower())
        if reason := self.refused.get(plain(name)):
            raise mistake(f"found {quoted(name)}, {reason}")
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
        """Return the fields of a component, by name, with their defaults; None where its source leaves it open.

        Defaults of own code are not known, and None here.

        Raises:
            PydanticCustomError: the package that has it cannot be imported.
        """
        origin = Origin(choice.name, choice.code)
        component = self._component(origin, may_run=False)
        if component is not None:
            return {name: field.default for name, field in component.model_fields.items()}
        names = self._names_in_source(origin)
        return None if names is None else dict.fromkeys(names)

    def _names_in_source(self, origin: Origin) -> tuple[str, ...] | None:
        own = self.registry
        return fields_in_source(origin.name, origin.code, own.leading, own.constructor, own.given)

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
        own_keys = set(self.extra.model_fields if self.extra else ()) - self._yielded(origin, component, given)
        extra = {key: item for key, item in given.items() if key in own_keys}
        rest = {key: item for key, item in given.items() if key not in own_keys}
        known = self._known_keys(origin, component)
        unknown = [key for key in rest if key in self.flat or (known is not None and key not in known)]
        shown = component.name if component and is_reference(origin.name) else origin.name.rpartition(":")[2]
        errors: list[Wrong] = [((key,), self.unknown_key(key, shown, known or ()), rest[key]) for key in unknown]
        of_component = {key: item for key, item in rest.items() if key not in unknown}
        fields = validated(component or self.arguments, of_component, shown, errors)
        extra_values = None if self.extra is None else validated(self.extra, extra, shown, errors)
        if errors or fields is None:
            raise refused(errors)
        return Checked(origin, fields, extra_values)

    def _yielded(self, origin: Origin, component: type[Component] | None, given: Mapping[str, Any]) -> set[str]:
        asked = set(self.yields) & given.keys()
        names = component.model_fields if component else self._names_in_source(origin) if asked else ()
        return asked & set(names or ())

    def _known_keys(self, origin: Origin, component: type[Component] | None) -> Sequence[str] | None:
        """Return the keys that a component takes, without the name and `extra`; None where any will do."""
        if component is None:
            if self.own is OwnCode.ANY:
                return None
            return self._names_in_source(origin)
        return None if component.model_config.get("extra") == "allow" else list(component.model_fields)


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
