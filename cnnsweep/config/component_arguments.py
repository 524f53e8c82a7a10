"""Keys of `params` that are an argument of another key, such as `optimizer.alpha` and `loss.gamma`.

Also, which of the keys of `params` an optimizer or loss uses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from cnnsweep.config.schema import LOSS_PREFIX, OPTIMIZER_PREFIX
from cnnsweep.field_types import mistake, nearest_name
from cnnsweep.formatting.numbers import trial_text
from cnnsweep.losses.base import LABEL_SMOOTHING
from cnnsweep.optimizers.base import FLAT
from cnnsweep.types import Choice


@dataclass(frozen=True)
class ArgumentKeys:
    """The arguments of one key that are keys of `params` themselves.

    Attributes:
        key: the key whose values have the arguments.
        prefix: of the keys.
        shown: the key as messages have it.
        plural: of its components, in words.
    """

    key: str
    prefix: str
    field: ComponentField
    shown: str
    plural: str

    def argument_of(self, key: str) -> str | None:
        """Return the argument that a key of `params` means; None for other keys."""
        return key.removeprefix(self.prefix) if key.startswith(self.prefix) else None

    def takes(self, choice: Choice, argument: str) -> bool:
        """True if a component has a field; also where its source leaves it open."""
        fields = _fields(self.field, choice.name, choice.code)
        return fields is None or argument in fields


OF_OPTIMIZER = ArgumentKeys("optimizer", OPTIMIZER_PREFIX, OPTIMIZER, "optimizer", "optimizers")
OF_LOSS = ArgumentKeys("loss_function", LOSS_PREFIX, LOSS, "loss", "losses")
ALL = (OF_OPTIMIZER, OF_LOSS)

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


def with_arguments(of: ArgumentKeys, choice: Choice, params: Mapping[str, Any]) -> Choice:
    """Return an optimizer or loss with the arguments that are keys of `params`, those with their defaults left out."""
    own = {argument: value for key, value in params.items() if (argument := of.argument_of(key)) is not None}
    used = {argument: value for argument, value in own.items() if of.takes(choice, argument)}
    if not used:
        return choice
    checked: Choice = of.field.check(Choice(choice.name, {**choice.arguments, **used}, choice.code))
    return checked


def is_used(key: str, values: Mapping[str, Choice]) -> bool:
    """True unless a key of `params` is an argument that the value of its key does not take."""
    for of in ALL:
        if (argument := of.argument_of(key)) is not None:
            return of.takes(values[of.key], argument)
    return True


def check_arguments(
    given: Mapping[str, Any], choices: Mapping[str, Sequence[Choice]]
) -> tuple[dict[str, Values], list[Mistake]]:
    """Return the values of each such key, and mistakes where none of the components takes the argument.

    Args:
        given: the keys of the file's `params`, with their values as written.
        choices: the sweep's optimizers and losses, by key; empty where they are wrong themselves.
    """
    axes: dict[str, Values] = {}
    mistakes: list[Mistake] = []
    for key, value in given.items():
        for of in ALL:
            if (argument := of.argument_of(key)) is None:
                continue
            if problem := _problem(of, argument, value, choices[of.key]):
                mistakes.append(Mistake(("params", key), problem, at_key=True))
                continue
            try:
                axes[key] = _values(of, argument, value, choices[of.key])
            except PydanticCustomError as error:
                mistakes.append(Mistake(("params", key), error.message()))
    return axes, mistakes


def _values(of: ArgumentKeys, argument: str, value: Any, choices: Sequence[Choice]) -> Values:
    check = partial(_checked, of, argument, choices)
    read: Values = (
        read_distribution(value, check)
        if is_distribution(value)
        else check(value if isinstance(value, list) else [value])
    )
    return read


def _problem(of: ArgumentKeys, argument: str, value: Any, choices: Sequence[Choice]) -> str | None:
    if argument in ("", of.field.key):
        return f"to compare {of.plural}, write `{of.shown}` here, with a list of them"
    if argument in of.field.flat:
        return f"is a key of its own: write `{argument}`"
    if value == []:
        return "found an empty list, allowed is one value, or a list of one or more"
    given = [one for one in choices if argument in one.arguments]
    if of is OF_LOSS and given:  # of optimizers, the key has always been the one that counts
        name = without_folder(given[0].name, given[0].code)
        return f"given in {trial_text({of.field.key: name, **given[0].arguments})} too; keep one of them"
    if not choices or any(of.takes(one, argument) for one in choices):
        return None
    known = [_fields(of.field, one.name, one.code) for one in choices]
    own = list(dict.fromkeys(field for fields in known for field in fields or () if field not in of.field.flat))
    nearest = nearest_name(argument, own)
    names = ", ".join(dict.fromkeys(without_folder(one.name, one.code) for one in choices))
    hint = f"did you mean '{of.shown}.{nearest}'?" if nearest else f"allowed are {', '.join(own) or 'none'}"
    return f"no argument of the {of.plural} named ({names}); {hint}"


def _checked(of: ArgumentKeys, argument: str, choices: Sequence[Choice], items: Sequence[Any]) -> tuple[Any, ...]:
    """Return values as the components that have the argument read them."""
    for user in [one for one in choices if of.takes(one, argument)]:
        for item in items:
            try:
                of.field.check(Choice(user.name, {**user.arguments, argument: item}, user.code))
            except ValidationError as error:
                raise mistake(mistakes_in(error)[0].text) from None
    return tuple(items)
