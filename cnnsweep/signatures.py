"""The arguments of a user's own function or class, as fields of a component."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from pydantic import create_model

from cnnsweep.errors import UsageError
from cnnsweep.field_types import Plain

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class Arguments:
    """The parameters of a function, or of a class without `self`.

    Attributes:
        by_position: the names of those that can be given by position.
        defaults: by name, of those after the leading ones; `inspect.Parameter.empty` without one.
        takes_more: it takes any number by position.
        takes_any: it takes keyword arguments of any name.
    """

    by_position: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict)
    takes_more: bool = False
    takes_any: bool = False

    def can_take(self, count: int) -> bool:
        """True if a number of arguments can be given by position."""
        return self.takes_more or len(self.by_position) >= count


def arguments_of(make: Callable[..., Any], leading: int) -> Arguments:
    """Return the parameters of a function or class, of which the leading ones are given by position."""
    every = list(inspect.signature(make).parameters.values())
    by_position = tuple(one.name for one in every if one.kind in _BY_POSITION)
    kinds = {one.kind for one in every}
    return Arguments(
        by_position,
        {one.name: one.default for one in every if one.kind in _BY_NAME and one.name not in by_position[:leading]},
        inspect.Parameter.VAR_POSITIONAL in kinds,
        inspect.Parameter.VAR_KEYWORD in kinds,
    )


def component_of(
    code: Any, arguments: Arguments, base: type[Any], *, name: str, about: str, given: Collection[str] = ()
) -> type[Any]:
    """Return a component with a field for each argument.

    Args:
        about: what a message begins with.
        given: arguments that are no fields. Nor are those with the name of a method of components, or a private name.

    Raises:
        UsageError: an argument without a default has such a name.
    """
    taken = dir(base)
    fields: dict[str, Any] = {}
    for argument, default in arguments.defaults.items():
        has_default = default is not inspect.Parameter.empty
        if argument in given:
            continue
        if argument not in taken and not argument.startswith("_"):
            fields[argument] = (Plain, default if has_default else ...)
        elif not has_default:
            raise UsageError(f"{about}: the argument '{argument}' needs another name; this one has a meaning here")
    made: type[Any] = create_model(name, __base__=base, __doc__=code.__doc__, __module__=__name__, **fields)
    return made
