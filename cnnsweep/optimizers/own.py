"""Checks of a user's class or function that is to be an optimizer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from cnnsweep.code_place import defined_at
from cnnsweep.errors import UsageError
from cnnsweep.signatures import Arguments, arguments_of, refused_signature

LR = "lr"
NEEDS_CLOSURE = "needs a closure that computes the loss several times a step; a step here has one batch's gradients"


def check_class(kind: type, reference: str) -> None:
    """Check that a class is an optimizer of torch, without a closure.

    Raises:
        UsageError: it is something else.
    """
    from torch import optim

    if not issubclass(kind, optim.Optimizer):
        raise UsageError(
            f"optimizer {reference}: found {kind!r:.60}, allowed is a subclass of torch.optim.Optimizer, or of "
            "cnnsweep.optimizers.base.Optimizer, or a function that returns a torch.optim.Optimizer"
        )
    closure = inspect.signature(kind.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise UsageError(f"optimizer {reference}: its step {NEEDS_CLOSURE}")


def checked_arguments(make: Callable[..., Any], reference: str) -> Arguments:
    """Return the arguments of a class or function, of which the first takes the parameters.

    Raises:
        UsageError: it does not take parameters and lr.
    """
    arguments = arguments_of(make, 1)
    if not arguments.can_take(1):
        problem = refused_signature(make, "params, lr, ...")
        raise UsageError(f"{defined_at(make)}optimizer {PurePath(reference).name}: {problem}")
    if LR not in arguments.defaults and not arguments.takes_any:
        raise UsageError(f"optimizer {reference}: takes no argument 'lr', so the learning rate would have no effect")
    return arguments


def built_by(make: Callable[..., Any], parameters: list[Any], lr: float, arguments: dict[str, Any]) -> Any:
    """Return the optimizer; lists become tuples where the default is one.

    Raises:
        TypeError: it is none.
    """
    from torch import optim

    defaults = arguments_of(make, 1).defaults
    tuples = {name for name, default in defaults.items() if isinstance(default, tuple)}
    given = {name: tuple(value) if name in tuples else value for name, value in arguments.items()}
    built = make(parameters, lr=lr, **given)
    if not isinstance(built, optim.Optimizer):
        raise TypeError(f"returned {type(built).__name__}, allowed is a torch.optim.Optimizer")
    return built
