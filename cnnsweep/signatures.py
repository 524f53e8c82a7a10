"""The arguments of a user's own function or class, as fields of a component."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from pydantic import create_model

from cnnsweep.field_types import Plain

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class Arguments:
    """The parameters of a function, or of a class without `self`.

    Attributes:
        by_position: the number of those that can be given by position.
        defaults: by name, of those after the leading ones; `inspect.Parameter.empty` without one.
        takes_any: it takes keyword arguments of any name.
    """

    by_position: int
    defaults: dict[str, Any]
    takes_any: bool


def arguments_of(make: Callable[..., Any], leading: int) -> Arguments:
    """Return the parameters of a function or class."""
    every = list(inspect.signature(make).parameters.values())
    named = [one for one in every[leading:] if one.kind in _BY_NAME]
    return Arguments(
        sum(one.kind in _BY_POSITION for one in every),
        {one.name: one.default for one in named},
        any(one.kind is inspect.Parameter.VAR_KEYWORD for one in every),
    )


def component_of(make: Callable[..., Any], arguments: Arguments, base: type[Any], given: Collection[str]) -> type[Any]:
    """Return a component with a field for each argument.

    Args:
        given: arguments that are no fields; nor are those with the name of a method of components.
    """
    fields: dict[str, Any] = {
        name: (Plain, ... if default is inspect.Parameter.empty else default)
        for name, default in arguments.defaults.items()
        if name not in given and not hasattr(base, name)
    }
    made: type[Any] = create_model(make.__name__, __base__=base, __doc__=make.__doc__, __module__=__name__, **fields)
    return made
