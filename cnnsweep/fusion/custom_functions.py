"""Tracing of autograd functions and `isinstance` checks in user code, which need tensors instead of proxies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, fx, nn
from torch.autograd import Function
from torch.utils.checkpoint import CheckpointFunction

from cnnsweep.fusion.proxies import KnownProxy

_FRAMEWORK = "torch."
_callables: dict[type[Function], Callable[..., Any]] = {}  # one node per call, so that graphs can be compared
_apply: Any = Function.__dict__["apply"]


@contextmanager
def functions_recorded(tracer: fx.Tracer) -> Iterator[None]:
    """Record calls with proxies as nodes of the graph, inside this block."""

    def apply(cls: type[Function], *args: Any, **kwargs: Any) -> Any:
        if not any(isinstance(arg, fx.Proxy) for arg in (*args, *kwargs.values())):
            return _apply.__get__(None, cls)(*args, **kwargs)
        if cls is CheckpointFunction:  # checkpointing recomputes values, which changes no number
            function, _, *inputs = args
            return function(*inputs)
        return tracer.create_proxy("call_function", _callable(cls), args, kwargs)

    setattr(Function, "apply", classmethod(apply))  # noqa: B010 - mypy: a method
    try:
        yield
    finally:
        setattr(Function, "apply", _apply)  # noqa: B010


@contextmanager
def tensors_recognised(model: nn.Module) -> Iterator[None]:
    """Make `isinstance` accept proxies as tensors, in the files that define the modules of a model.

    Only there: torch's own code would treat them as tensors in memory.
    """
    forwards = [getattr(kind, "forward", None) for module in model.modules() for kind in type(module).__mro__]
    homes = [getattr(forward, "__globals__", None) for forward in forwards]
    files = {id(home): home for home in homes if home and not home["__name__"].startswith(_FRAMEWORK)}
    patched = [home for home in files.values() if "isinstance" not in home]
    for home in patched:
        home["isinstance"] = _is_instance
    try:
        yield
    finally:
        for home in patched:
            del home["isinstance"]


def _is_instance(value: object, kind: Any) -> bool:
    stands_for_tensor = type(value) is KnownProxy and value.tensors is not None
    return issubclass(Tensor, kind) if stands_for_tensor else isinstance(value, kind)


def _callable(cls: type[Function]) -> Callable[..., Any]:
    if cls not in _callables:

        def call(*args: Any, **kwargs: Any) -> Any:
            return _apply.__get__(None, cls)(*args, **kwargs)

        call.__name__ = cls.__name__
        _callables[cls] = call
    return _callables[cls]
