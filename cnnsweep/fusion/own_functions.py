"""A person's own `torch.autograd.Function`s in a graph: their Python knows tensors, not the stand-ins for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import fx
from torch.autograd import Function
from torch.utils.checkpoint import CheckpointFunction

_callables: dict[type[Function], Callable[..., Any]] = {}  # one each, so that graphs can be compared
_apply: Any = Function.__dict__["apply"]


@contextmanager
def functions_recorded(tracer: fx.Tracer) -> Iterator[None]:
    """Record their application to stand-ins as a node of the graph, inside this block."""

    def apply(cls: type[Function], *args: Any, **kwargs: Any) -> Any:
        if not any(isinstance(arg, fx.Proxy) for arg in (*args, *kwargs.values())):
            return _apply.__get__(None, cls)(*args, **kwargs)
        if cls is CheckpointFunction:  # it computes twice what it could keep, which changes no number
            function, _, *inputs = args
            return function(*inputs)
        return tracer.create_proxy("call_function", _callable(cls), args, kwargs)

    setattr(Function, "apply", classmethod(apply))  # noqa: B010 - mypy: a method
    try:
        yield
    finally:
        setattr(Function, "apply", _apply)  # noqa: B010


def _callable(cls: type[Function]) -> Callable[..., Any]:
    if cls not in _callables:

        def call(*args: Any, **kwargs: Any) -> Any:
            return _apply.__get__(None, cls)(*args, **kwargs)

        call.__name__ = cls.__name__
        _callables[cls] = call
    return _callables[cls]
