"""Keys `optimizer.<argument>` of `params`, and which of the keys of `params` an optimizer or loss uses."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from cnnsweep.config.axis import Values
from cnnsweep.config.component_field import ComponentField
from cnnsweep.config.component_keys import LOSS, OPTIMIZER
from cnnsweep.config.distributions import is_distribution, read_distribution
from cnnsweep.config.dump import without_folder
from cnnsweep.config.error_messages import Mistake, mistakes_in
from cnnsweep.config.schema import OPTIMIZER_PREFIX
from cnnsweep.field_types import mistake, nearest_name
from cnnsweep.losses.base import LABEL_SMOOTHING
from cnnsweep.optimizers.base import FLAT
from cnnsweep.types import Choice

_USED_BY: Mapping[str, tuple[str, ComponentField]] = {
    **dict.fromkeys(FLAT, ("optimizer", OPTIMIZER)),
    LABEL_SMOOTHING: ("loss_function", LOSS),
}


@cache
def _fields(field: ComponentField, name: str, code: str | None) -> Mapping[str, Any] | None:
    return field.fields_of(Choice(name, {}, code))


def uses(key: str, choice: Choice) -> bool:
    """True if an optimizer or loss has the field that a key of `params` sets; also where its source leaves it open."""
    fields = _fields(_USED_BY[key][1], choice.name, choice.code)
    return fields is None or key in fields


def takes(optimizer: Choice, argument: str) -> bool:
    """True if an optimizer has a field; also where its source leaves it open."""
    fields = _fields(OPTIMIZER, optimizer.name, optimizer.code)
    return fields is None or argument in fields


def unused_by(key: str, choices: Sequence[Choice]) -> str | None:
    """Return the names of all that use a key, where none of the choices does; None where one does."""
    if key not in _USED_BY or any(uses(key, choice) for choice in choices):
        return None
    installed = _USED_BY[key][1].registry.installed()
    return ", ".join(name for names, component in installed if key in component.model_fields for name in names)


def user_of(key: str) -> str | None:
    """Return the key of `params` whose values use another one: `optimizer` for `momentum`."""
    return _USED_BY[key][0] if key in _USED_BY else None


def flat_values(optimizer: Choice, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an optimizer that are keys of `params`: as given, or its own defaults; None if unused."""
    fields = _fields(OPTIMIZER, optimizer.name, optimizer.code)
    values = dict.fromkeys(FLAT)
    for key in FLAT if fields is None else (key for key in FLAT if key in fields):
        given = params.get(key)
        values[key] = given if given is not None or fields is None else fields[key]
    return values


def arguments_in(optimizer: Choice, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of an optimizer, those of `optimizer.<argument>` included, that differ from defaults."""
    own = {
        key.removeprefix(OPTIMIZER_PREFIX): value for key, value in params.items() if key.startswith(OPTIMIZER_PREFIX)
    }
    used = {key: value for key, value in own.items() if takes(optimizer, key)}
    if not used:
        return optimizer.arguments
    checked: Choice = OPTIMIZER.check(Choice(optimizer.name, {**optimizer.arguments, **used}, optimizer.code))
    return checked.arguments


def check_optimizer_arguments(
    given: Mapping[str, Any], optimizers: Sequence[Choice]
) -> tuple[dict[str, Values], list[Mistake]]:
    """Return the values of each `optimizer.<argument>`, and mistakes where none of the optimizers takes it.

    Args:
        given: the keys of the file's `params`, with their values as written.
        optimizers: the sweep's; empty where they are wrong themselves.
    """
    axes: dict[str, Values] = {}
    mistakes: list[Mistake] = []
    for key, value in given.items():
        if not key.startswith(OPTIMIZER_PREFIX):
            continue
        if problem := _problem(key, value, optimizers):
            mistakes.append(Mistake(("params", key), problem, at_key=True))
        elif is_distribution(value):
            try:
                axes[key] = read_distribution(value, partial(_checked, key, optimizers))
            except PydanticCustomError as error:
                mistakes.append(Mistake(("params", key), error.message()))
        else:
            items = value if isinstance(value, list) else [value]
            try:
                axes[key] = _checked(key, optimizers, items)
            except PydanticCustomError as error:
                mistakes.append(Mistake(("params", key), error.message()))
    return axes, mistakes


def _problem(key: str, value: Any, optimizers: Sequence[Choice]) -> str | None:
    argument = key.removeprefix(OPTIMIZER_PREFIX)
    if argument in ("", "name"):
        return "to compare optimizers, write `optimizer` here, with a list of them"
    if argument in FLAT:
        return f"is a key of its own: write `{argument}`"
    if value == []:
        return "found an empty list, allowed is one value, or a list of one or more"
    known = [_fields(OPTIMIZER, one.name, one.code) for one in optimizers]
    if not optimizers or any(fields is None or argument in fields for fields in known):
        return None
    own = list(dict.fromkeys(field for fields in known for field in fields or () if field not in FLAT))
    nearest = nearest_name(argument, own)
    names = ", ".join(dict.fromkeys(without_folder(one.name, one.code) for one in optimizers))
    hint = f"did you mean '{OPTIMIZER_PREFIX}{nearest}'?" if nearest else f"allowed are {', '.join(own) or 'none'}"
    return f"no argument of the optimizers named ({names}); {hint}"


def _checked(key: str, optimizers: Sequence[Choice], items: Sequence[Any]) -> tuple[Any, ...]:
    """Return values as the first optimizer that has the argument reads them."""
    argument = key.removeprefix(OPTIMIZER_PREFIX)
    users = [one for one in optimizers if argument in (_fields(OPTIMIZER, one.name, one.code) or {argument: None})]
    for user in users:
        for item in items:
            try:
                OPTIMIZER.check(Choice(user.name, {argument: item}, user.code))
            except ValidationError as error:
                raise mistake(mistakes_in(error)[0].text) from None
    return tuple(items)
