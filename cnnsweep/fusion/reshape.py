"""Fused forms of operations on shapes: flatten, reshape, concatenate, reduce over pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cnnsweep.fusion.stacked_tensor import Layout, Stacked


def flatten(_: Any, x: Stacked, start_dim: int = 0, end_dim: int = -1) -> Stacked:
    """Flatten dimensions of each run's value."""
    shift = 1 if start_dim >= 0 else 0
    return Stacked.by_runs(x.in_runs().tensor.flatten(start_dim + shift, end_dim + 1 if end_dim >= 0 else end_dim))


def reshape(_: Any, x: Stacked, *shape: Any, **kwargs: Any) -> Any:
    """Give each run's value another shape; as `view` does, with a copy if needed."""
    shape = shape or (kwargs.pop("size", None) or kwargs.pop("shape", None),)  # as `view` and `reshape` call it
    if kwargs or shape == (None,):
        return NotImplemented
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
    if not all(isinstance(size, int) for size in sizes):
        return NotImplemented
    return Stacked.by_runs(x.in_runs().tensor.reshape(x.runs, *sizes))


def reshape_as(_: Any, x: Stacked, other: Any) -> Any:
    """Give each run's value the shape of another; as `view_as` does, with a copy if needed."""
    return Stacked.by_runs(x.in_runs().tensor.reshape(x.runs, *other.shape))


def size(_: Any, x: Stacked, dim: int | None = None) -> Any:
    """Return the size for one run."""
    return x.shape if dim is None else x.shape[dim]


def dim(_: Any, x: Stacked) -> int:
    """Return the number of dimensions for one run."""
    return len(x.shape)


def attribute(_: Any, x: Stacked, name: str) -> Any:
    """Return an attribute of a tensor, as for one run."""
    if name == "shape":
        return x.shape
    if name == "ndim":
        return len(x.shape)
    if name in ("device", "dtype", "is_cuda", "requires_grad"):
        return getattr(x.tensor, name)
    return NotImplemented


def concatenate(_: Any, tensors: Sequence[Any], dim: int = 0) -> Any:
    """Join values of each run."""
    if not all(isinstance(tensor, Stacked) for tensor in tensors):
        return NotImplemented
    rank = len(tensors[0].shape)
    dim = dim % rank
    if all(t.layout is Layout.CHANNELS for t in tensors) and rank >= 3:
        owned = [t.own() for t in tensors]
        if dim == 1:  # each run's channels stay together
            runs = tensors[0].runs
            last = [t.tensor.movedim(1, -1).unflatten(-1, (runs, -1)) for t in owned]  # (N, *spatial, K, C)
            return Stacked.by_channels(torch.cat(last, -1).flatten(-2).movedim(-1, 1), runs)
        return Stacked.by_channels(torch.cat([t.tensor for t in owned], dim), tensors[0].runs)
    return Stacked.by_runs(torch.cat([t.in_runs().tensor for t in tensors], dim + 1))


def reduce_pixels(function: Any, x: Stacked, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Any:
    """Reduce over pixels; other dimensions use the fallback."""
    rank = len(x.shape)
    dims = [dim] if isinstance(dim, int) else dim
    if kwargs or not dims or x.layout is not Layout.CHANNELS:
        return NotImplemented
    if any(d % rank < 2 for d in dims):
        return NotImplemented
    result: Tensor = function(x.tensor, tuple(d % rank for d in dims), keepdim=keepdim)
    return x.with_tensor(result)
