"""A user's own optimizer: a class of `torch.optim.Optimizer`, or a function that returns one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict, create_model

from cnnsweep.errors import UsageError
from cnnsweep.field_types import Plain
from cnnsweep.optimizers.base import NEEDS_CLOSURE, Optimizer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LR = "lr"
_KEYWORDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class OwnOptimizer(Optimizer):
    """Base of optimizers whose fields are the keyword arguments of a user's class or function.

    Attributes:
        make: the class or function.
        tuples: the arguments that are tuples by default; a sweep file has lists.
    """

    model_config = ConfigDict(protected_namespaces=())
    make: ClassVar[Callable[..., Any]]
    tuples: ClassVar[frozenset[str]] = frozenset()
    weight_decay: ClassVar[float]  # type: ignore[misc] # a field where the arguments have it

    def build(self, parameters: Iterable[Tensor], lr: float, device: torch.device) -> torch.optim.Optimizer:
        """Return the user's optimizer, with the arguments that the sweep file has."""
        from torch import optim

        del device
        given = self.model_dump(exclude_unset=True)
        arguments = {key: tuple(value) if key in self.tuples else value for key, value in given.items()}
        built = type(self).make(list(parameters), lr=lr, **arguments)
        if not isinstance(built, optim.Optimizer):
            raise TypeError(f"returned {type(built).__name__}, allowed is a torch.optim.Optimizer")
        return built


class _OpenOptimizer(OwnOptimizer):
    """Base where the constructor takes any keyword argument."""

    model_config = ConfigDict(extra="allow")


def optimizer_of_class(kind: type, reference: str) -> type[Optimizer]:
    """Return the component of an optimizer class.

    Raises:
        UsageError: it is no optimizer, or one that cannot train here.
    """
    from torch import optim

    if not issubclass(kind, optim.Optimizer):
        raise UsageError(
            f"optimizer {reference}: found {kind!r:.60}, allowed is a subclass of torch.optim.Optimizer, or of "
            "cnnsweep.optimizers.base.Optimizer, or a function that returns a torch.optim.Optimizer"
        )
    step = inspect.signature(kind.step).parameters.get("closure")
    if step is not None and step.default is inspect.Parameter.empty:
        raise UsageError(f"optimizer {reference}: its step {NEEDS_CLOSURE}")
    return _component(kind, reference)


def optimizer_of_function(function: Callable[..., Any], reference: str) -> type[Optimizer]:
    """Return the component of a function that gets parameters and lr, and returns an optimizer."""
    return _component(function, reference)


@cache
def _component(make: Callable[..., Any], reference: str) -> type[OwnOptimizer]:
    parameters = _keyword_parameters(make, reference)
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    keywords = {name: one for name, one in parameters.items() if one.kind in _KEYWORDS}
    if LR not in keywords and not takes_any:
        raise UsageError(f"optimizer {reference}: takes no argument 'lr', so the learning rate would have no effect")
    fields: dict[str, Any] = {
        name: (Plain, ... if one.default is inspect.Parameter.empty else one.default)
        for name, one in keywords.items()
        if name != LR and not hasattr(Optimizer, name)
    }
    base = _OpenOptimizer if takes_any else OwnOptimizer
    made = create_model(make.__name__, __base__=base, __doc__=make.__doc__, __module__=__name__, **fields)
    made.make = staticmethod(make)
    made.tuples = frozenset(name for name, one in keywords.items() if isinstance(one.default, tuple))
    return made


def _keyword_parameters(make: Callable[..., Any], reference: str) -> Mapping[str, inspect.Parameter]:
    """Return the parameters after the first, which takes the weights."""
    first, *others = inspect.signature(make).parameters.values() or [None]
    if first is None or first.kind not in (inspect.Parameter.POSITIONAL_ONLY, _KEYWORDS[0]):
        raise UsageError(f"optimizer {reference}: its first parameter has to take the parameters of the model")
    return {one.name: one for one in others}
