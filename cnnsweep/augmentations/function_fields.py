"""Parameters of a user's function of a batch, which become the fields of its component."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

from cnnsweep.errors import UsageError

GENERATOR = "generator"


def place_of(function: Callable[..., Any]) -> str:
    """Return file and line of a function's definition."""
    code = inspect.unwrap(function).__code__
    return f"{code.co_filename}:{code.co_firstlineno}"


def takes_generator(function: Callable[..., Any]) -> bool:
    """True if the second parameter is the generator."""
    return [one.name for one in _positional(function)[1:2]] == [GENERATOR]


def arguments_of(function: Callable[..., Any], name: str, taken: Collection[str]) -> dict[str, Any]:
    """Return the fields for pydantic of the further arguments of a function `f(images, generator, ...)`.

    Args:
        taken: names that no argument can have.

    Raises:
        UsageError: it takes no images, its second parameter is not the generator, or an argument has such a name.
    """
    first = [one.name for one in _positional(function)][:2]
    rest = [one for one in inspect.signature(function).parameters.values() if one.name not in first]
    if not first or first[1:] not in ([], [GENERATOR]) or GENERATOR in [one.name for one in rest]:
        found = f"{function.__name__}{inspect.signature(function)}"
        allowed = f"{function.__name__}(images, {GENERATOR}, ...), or {function.__name__}(images, *, ...)"
        raise UsageError(f"{name}: found {found}, allowed is {allowed}")
    for argument in (one.name for one in rest if one.name in taken or one.name.startswith("_")):
        raise UsageError(f"{name}: the argument '{argument}' needs another name; this one has a meaning here")
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {one.name: (Any, ... if one.default is one.empty else one.default) for one in rest if one.kind in kinds}


def takes_any(function: Callable[..., Any]) -> bool:
    """True if the function has `**arguments`."""
    return any(one.kind is one.VAR_KEYWORD for one in inspect.signature(function).parameters.values())


def _positional(function: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one for one in inspect.signature(function).parameters.values() if one.kind in kinds]
