"""Entries of a sweep file whose variants follow from a registry: data sets and models."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, create_model

from cnnsweep.config.choice_field import CLOSED, OPEN, NameOrCode
from cnnsweep.field_types import Plain, mistake
from cnnsweep.registry import Component, Registry, argument_mistake


@dataclass(frozen=True, slots=True)
class Variants:
    """The pydantic models of an entry's mapping.

    Attributes:
        models: by tag, as `Entry.variants`.
        tags: by the name that the mapping gives.
    """

    models: Mapping[str, type[BaseModel]]
    tags: Mapping[str, str]


class _Closed(BaseModel):
    model_config = CLOSED


class _Open(BaseModel):
    model_config = OPEN
    __pydantic_extra__: dict[str, Plain] = Field(init=False)


def entry_variants(registry: Registry[Any], name: NameOrCode, common: Mapping[str, Any]) -> Variants:
    """Return a variant for each built-in class, one for all that share their fields.

    Classes of other packages are imported only if the sweep file names them, so their arguments are checked later.

    Args:
        name: the check of the key `name`.
        common: fields beside the classes' own, as `pydantic.create_model` takes them.
    """
    groups: dict[type, list[type[Component]]] = {}
    for component in registry.built_in:
        groups.setdefault(_definer_of_fields(component), []).append(component)
    models: dict[str, type[BaseModel]] = {}
    tags: dict[str, str] = {}
    for definer, members in groups.items():
        names = [one for member in members for one in member.names]
        tag = f"<{names[0]}>"
        models[tag] = _variant(members, definer, name.offering(*names), {**common, **_own_fields(members[0])})
        tags |= dict.fromkeys(names, tag)
    if others := registry.of_other_packages:
        tag = f"<{registry.kind} of another package>"
        named: Any = (
            Annotated[Any, name.offering(*others)],
            Field(description=f"a {registry.kind} of another package"),
        )
        models[tag] = create_model("OtherPackage", __base__=_Open, name=named, **common)
        tags |= dict.fromkeys(others, tag)
    return Variants(models, tags)


def _definer_of_fields(component: type[Component]) -> type:
    """Return the nearest class that declares fields; `Component` if none does."""
    known = set(component.model_fields)
    classes = (one for one in component.__mro__ if known & set(inspect.get_annotations(one)))
    return next(classes, Component)


def _own_fields(component: type[Component]) -> Mapping[str, Any]:
    return {key: (field.annotation, field) for key, field in component.model_fields.items()}


def _variant(
    members: list[type[Component]], definer: type, name: NameOrCode, fields: Mapping[str, Any]
) -> type[BaseModel]:
    first = members[0]
    is_single = len(members) == len(first.names) == 1
    named: Any = (Annotated[Any, name], Field(description=first.summary() if is_single else f"name of the {name.kind}"))
    base = _Open if first.model_config.get("extra") == "allow" else _Closed
    title = (first if definer is Component else definer).__name__
    return create_model(title, __base__=base, name=named, **fields)


def checked_arguments(registry: Registry[Any], name: str, arguments: Mapping[str, Any]) -> Component:
    """Return the component, checked by its own class: relations of fields, and arguments of another package's.

    Raises:
        PydanticCustomError: an argument is wrong.
    """
    component: type[Component] = registry.get(name)
    try:
        return component.model_validate(arguments)
    except ValidationError as error:
        raise mistake(f"{name}: {argument_mistake(component, error)}") from None
