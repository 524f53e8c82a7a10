"""A user's own schedule: a function of the step that returns the learning rate."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import cache
from numbers import Real
from typing import Any, ClassVar

from pydantic import ConfigDict, create_model

from cnnsweep.errors import UsageError
from cnnsweep.field_types import Plain
from cnnsweep.schedules.base import Schedule

GIVEN = ("step", "steps", "epochs", "lr")
_KEYWORDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class OwnSchedule(Schedule):
    """Base of schedules whose fields are the keyword arguments of a user's function.

    Attributes:
        function: gets the step, counted from 0, the steps and epochs of the whole run, and lr.
    """

    model_config = ConfigDict(protected_namespaces=())
    function: ClassVar[Callable[..., Any]]

    def lr_at(self, step: int, steps_per_epoch: int, epochs: int, base_lr: float) -> float:
        """Return what the function returns.

        Raises:
            UsageError: it is no learning rate.
        """
        value = self.returned(step, steps_per_epoch, epochs, base_lr)
        if not is_rate(value):
            raise UsageError(f"schedule {self.name}: returned {value!r:.60} for step {step}, allowed is {RATES}")
        return float(value)

    def returned(self, step: int, steps_per_epoch: int, epochs: int, base_lr: float) -> Any:
        """Return what the function returns, also where it is no number."""
        return type(self).function(step, steps_per_epoch * epochs, epochs, base_lr, **dict(self))


class _OpenSchedule(OwnSchedule):
    """Base where the function takes any keyword argument."""

    model_config = ConfigDict(extra="allow")


RATES = "a number of at least 0"


def is_rate(value: object) -> bool:
    """True for a finite number of at least 0."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


@cache
def schedule_of_function(function: Callable[..., Any], reference: str) -> type[Schedule]:
    """Return the component of a function.

    Raises:
        UsageError: it does not take a step, the steps, the epochs and the learning rate.
    """
    parameters = list(inspect.signature(function).parameters.values())
    first = parameters[: len(GIVEN)]
    positional = (inspect.Parameter.POSITIONAL_ONLY, _KEYWORDS[0])
    if len(first) < len(GIVEN) or any(one.kind not in positional for one in first):
        raise UsageError(f"schedule {reference}: has to take {', '.join(GIVEN)} as its first parameters")
    others = parameters[len(GIVEN) :]
    fields: dict[str, Any] = {
        one.name: (Plain, ... if one.default is inspect.Parameter.empty else one.default)
        for one in others
        if one.kind in _KEYWORDS and not hasattr(Schedule, one.name)
    }
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in others)
    base = _OpenSchedule if takes_any else OwnSchedule
    made = create_model(function.__name__, __base__=base, __doc__=function.__doc__, __module__=__name__, **fields)
    made.function = staticmethod(function)
    return made
