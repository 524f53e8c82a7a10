"""Checks of a user's function that is to be a schedule."""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

from cnnsweep.errors import UsageError
from cnnsweep.signatures import Arguments, arguments_of

GIVEN = ("step", "steps", "epochs", "lr")
RATES = "a number of at least 0"


def is_rate(value: object) -> bool:
    """True for a finite number of at least 0."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value) and float(value) >= 0


def checked_arguments(function: Callable[..., Any], reference: str) -> Arguments:
    """Return the arguments of a function after those that every schedule gets.

    Raises:
        UsageError: it does not take these.
    """
    arguments = arguments_of(function, len(GIVEN))
    if arguments.by_position < len(GIVEN):
        raise UsageError(f"schedule {reference}: has to take {', '.join(GIVEN)} as its first parameters")
    return arguments
