"""Fallbacks of operations for K runs: `torch.func.vmap`, or run after run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree  # nested arguments; torch has no public name for it

from cnnsweep.errors import FusionError
from cnnsweep.fusion.rng import RunGenerators
from cnnsweep.fusion.stacked_tensor import Stacked


def all_at_once(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call a function of one run's tensors for all runs, by `vmap` over the run axis.

    Every `Stacked` among the arguments becomes one run's tensor, every tensor of the result a `Stacked`.
    """
    leaves, structure = pytree.tree_flatten((args, kwargs))
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Stacked)]

    def of_one_run(*values: Tensor) -> Any:
        filled = list(leaves)
        for place, value in zip(places, values, strict=True):
            filled[place] = value
        one_args, one_kwargs = pytree.tree_unflatten(filled, structure)
        return function(*one_args, **one_kwargs)

    batched = torch.vmap(of_one_run)(*(leaves[place].in_runs().tensor for place in places))
    return pytree.tree_map_only(Tensor, Stacked.by_runs, batched)


def can_run_at_once(function: Callable[..., Any], args: Any, kwargs: Any) -> bool:
    """Try `all_at_once`; also False if `vmap` warns that it would loop over the runs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            all_at_once(function, args, kwargs)
    except Exception:  # operations without a batching rule raise various types
        return False
    return True


def one_by_one(
    calls: Sequence[tuple[Callable[..., Any], Any, Any]],
    generators: RunGenerators,
    memory_order: Sequence[int] | None = None,
) -> Any:
    """Call a function for one run after the other, each drawing its own random numbers.

    Args:
        calls: each run's function, arguments and keyword arguments; a `Stacked` among them becomes the run's own part.
        memory_order: the dimensions of the tensor arguments from the slowest to the fastest in memory when a run trains
            alone. Random numbers are drawn in memory order, so it decides their assignment to elements.
    """
    results = []
    for run, (function, args, kwargs) in enumerate(calls):
        leaves, structure = pytree.tree_flatten((args, kwargs))
        filled = [_laid_out(leaf.of_run(run), memory_order) if isinstance(leaf, Stacked) else leaf for leaf in leaves]
        one_args, one_kwargs = pytree.tree_unflatten(filled, structure)
        with generators.drawing_for(run):
            results.append(pytree.tree_flatten(function(*one_args, **one_kwargs)))
    stacked = []
    for values in zip(*(found for found, _ in results), strict=True):
        if isinstance(values[0], Tensor):
            if any(value.shape != values[0].shape for value in values):
                raise FusionError("gives values of other shapes from run to run")
            stacked.append(Stacked.by_runs(torch.stack(values)))
        elif any(value != values[0] for value in values):
            raise FusionError(f"gives {values[0]!r} to one run and another value to others")
        else:
            stacked.append(values[0])
    return pytree.tree_unflatten(stacked, results[0][1])


def memory_order_of(tensor: Tensor) -> tuple[int, ...]:
    """Return a tensor's dimensions from the slowest to the fastest in memory."""
    strides = tensor.stride()
    return tuple(sorted(range(tensor.ndim), key=lambda dim: (-strides[dim], dim)))


def _laid_out(tensor: Tensor, order: Sequence[int] | None) -> Tensor:
    if not order or len(order) != tensor.ndim:
        return tensor
    back = sorted(range(len(order)), key=order.__getitem__)
    return tensor.permute(*order).contiguous().permute(*back)
