"""Proxies of tensors for tracing, with the sizes that do not depend on the number of images.

While the graph is recorded, every operation also runs on two batches of different size. A size that is equal in both
is a plain number, so that user code may compute with it. A size that differs depends on the number of images, which
varies in the last batch of an epoch, and stays a part of the graph.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, fx

_OF_SHAPE = frozenset(
    [
        "dim",
        "ndimension",
        "numel",
        "nelement",
        "is_floating_point",
        "is_complex",
        "element_size",
        "is_contiguous",
    ]
)
_PLAIN_ATTRIBUTES = frozenset(["ndim", "dtype", "device", "is_cuda", "layout", "itemsize"])
_TENSOR_ATTRIBUTES = frozenset(["T", "mT", "H", "mH", "data", "real", "imag"])
# Made from numbers alone, so that torch's dispatch on arguments does not apply.
CREATORS: tuple[Callable[..., Any], ...] = (
    torch.zeros, torch.ones, torch.full, torch.empty, torch.rand, torch.randn, torch.randint, torch.randperm,
    torch.arange, torch.linspace, torch.eye,
)  # fmt: skip


class BatchSizeError(Exception):
    """User code reads the number of images."""

    def __init__(self) -> None:
        super().__init__("its Python code depends on the number of images in a batch")


class Sizes(tuple[Any, ...]):
    """A tensor's shape, of numbers and of proxies for sizes that depend on the number of images."""

    def numel(self) -> Any:
        return math.prod(self)


class KnownProxy(fx.Proxy):
    """A node of the graph, with its values in two batches of different size; None if unknown."""

    def __init__(self, node: fx.Node, tracer: fx.proxy.TracerBase) -> None:
        super().__init__(node, tracer)
        self.known: tuple[Any, ...] | None = None

    def __getattr__(self, name: str) -> Any:
        tensors = self.tensors
        if tensors is not None:
            if name == "shape":
                return sizes_of(self)
            if name in _PLAIN_ATTRIBUTES:
                return getattr(tensors[0], name)
            if name in _TENSOR_ATTRIBUTES:
                return self.tracer.create_proxy("call_function", getattr, (self, name), {})
        return super().__getattr__(name)

    def __len__(self) -> int:
        if self.known is None:
            return super().__len__()
        lengths = {len(value) for value in self.known}
        if len(lengths) > 1:
            raise BatchSizeError
        return lengths.pop()

    def __iter__(self) -> Iterator[Any]:
        if self.known is None:
            return super().__iter__()
        if isinstance(self.known[0], Mapping):
            return iter(list(self.known[0]))
        return iter([self[place] for place in range(len(self))])

    def __bool__(self) -> bool:
        if self.is_number:
            raise BatchSizeError
        return super().__bool__()

    def __getitem__(self, key: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.getitem, (self, key), {})

    def __setitem__(self, key: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", set_item_, (self, key, value), {})

    def __int__(self) -> int:
        raise self._refusal()

    def __index__(self) -> int:
        raise self._refusal()

    def __float__(self) -> float:
        raise self._refusal()

    def __eq__(self, other: object) -> Any:
        is_same = self._is_same_number(other)
        return True if is_same else self.tracer.create_proxy("call_function", operator.eq, (self, other), {})

    def __ne__(self, other: object) -> Any:
        is_same = self._is_same_number(other)
        return False if is_same else self.tracer.create_proxy("call_function", operator.ne, (self, other), {})

    __hash__ = fx.Proxy.__hash__

    @property
    def is_number(self) -> bool:
        """True for a number that depends on the number of images."""
        return self.known is not None and all(isinstance(value, int | float) for value in self.known)

    @property
    def tensors(self) -> tuple[Tensor, ...] | None:
        """The tensor behind the proxy, if it is one."""
        known = self.__dict__.get("known")
        return known if known is not None and all(isinstance(value, Tensor) for value in known) else None

    def _is_same_number(self, other: object) -> bool:
        return self.is_number and isinstance(other, KnownProxy) and other.is_number and self.known == other.known

    def _refusal(self) -> Exception:
        if self.is_number:
            return BatchSizeError()
        return fx.proxy.TraceError("symbolically traced variables cannot be used as inputs to control flow")


def set_item_(x: Tensor, key: Any, value: Any) -> Tensor:
    """Return values with some replaced, as `x[key] = value` does in place."""
    changed = x.clone()
    changed[key] = value
    return changed


def sizes_of(proxy: KnownProxy) -> Sizes:
    """Return a tensor's shape."""
    assert proxy.known is not None
    shapes = [value.shape for value in proxy.known]
    if len({len(shape) for shape in shapes}) > 1:
        raise BatchSizeError
    return Sizes(size_of(proxy, dim) for dim in range(len(shapes[0])))


def size_of(proxy: KnownProxy, dim: int) -> Any:
    """Return one size of a tensor: a number, or a proxy if it depends on the number of images."""
    assert proxy.known is not None
    sizes = tuple(value.shape[dim] for value in proxy.known)
    if len(set(sizes)) == 1:
        return sizes[0]
    node = proxy.tracer.create_node("call_method", "size", (proxy.node, dim), {})
    depends = KnownProxy(node, proxy.tracer)
    depends.known = sizes
    return depends


def answer(proxy: KnownProxy, target: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return the result of a tensor's method if shapes determine it, else NotImplemented."""
    if proxy.known is None or proxy.tensors is None:
        return NotImplemented
    if target == "size":
        dim = args[0] if args else kwargs.get("dim")
        return sizes_of(proxy) if dim is None else size_of(proxy, dim)
    if target not in _OF_SHAPE:
        return NotImplemented
    values = {getattr(value, target)() for value in proxy.known}
    return values.pop() if len(values) == 1 else NotImplemented


def in_batch(value: Any, number: int) -> Any:
    """Return arguments with their values in one of the two batches.

    Raises:
        LookupError: a value is unknown.
    """
    if isinstance(value, KnownProxy):
        if value.known is None:
            raise LookupError
        return value.known[number]
    if isinstance(value, fx.Proxy):
        raise LookupError
    if isinstance(value, tuple):
        parts = [in_batch(part, number) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, list):
        return [in_batch(part, number) for part in value]
    if isinstance(value, dict):
        return {key: in_batch(part, number) for key, part in value.items()}
    if isinstance(value, slice):
        return slice(*(in_batch(part, number) for part in (value.start, value.stop, value.step)))
    return value


def taken_apart(value: Any) -> Any:
    """Return a proxy of a tuple, list or dict as a container of proxies."""
    if not isinstance(value, KnownProxy) or value.known is None:
        return value
    kind = value.known[0]
    if isinstance(kind, Mapping):
        return {key: taken_apart(value[key]) for key in kind}
    if isinstance(kind, tuple | list):
        parts = [taken_apart(part) for part in value]
        return type(kind)(*parts) if hasattr(kind, "_fields") else parts
    return value
