"""Properties of torch operations that follow from their name or class: random, in place, dependent on strides."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_RANDOM_NAMES = frozenset([
    "dropout", "dropout_", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "alpha_dropout_",
    "feature_alpha_dropout", "feature_dropout", "rrelu", "rrelu_", "stochastic_depth", "drop_block2d", "bernoulli",
    "bernoulli_", "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal",
    "normal_", "uniform_", "random_", "exponential_", "geometric_", "log_normal_", "cauchy_", "multinomial",
    "poisson", "gumbel_softmax", "fractional_max_pool2d",
])  # fmt: skip
_RANDOM_MODULES = (*_DROPOUTS, nn.RReLU, nn.FractionalMaxPool2d)


def is_random(operation: nn.Module | Callable[..., Any] | str) -> bool:
    """True if an operation may draw random numbers."""
    if isinstance(operation, nn.Module):
        return isinstance(operation, _RANDOM_MODULES)
    name = operation if isinstance(operation, str) else getattr(operation, "__name__", "")
    return name in _RANDOM_NAMES


def looks_at_memory(operation: nn.Module | Callable[..., Any] | str) -> bool:
    """True if the result depends on strides, which differ between a fused model and a single one."""
    name = operation if isinstance(operation, str) else getattr(operation, "__name__", "")
    return name in _MEMORY_NAMES


_MEMORY_NAMES = frozenset([
    "as_strided", "as_strided_", "as_strided_copy", "as_strided_scatter", "stride", "is_contiguous", "data_ptr",
    "storage", "untyped_storage", "storage_offset", "dim_order", "set_", "resize_", "resize_as_",
])  # fmt: skip


def is_switched_off(operation: nn.Module | Callable[..., Any] | str, args: Any, kwargs: Mapping[str, Any]) -> bool:
    """True for a dropout or stochastic depth that is the identity: in evaluation, or with probability 0."""
    if isinstance(operation, nn.Module):
        return isinstance(operation, _DROPOUTS) and (not operation.training or operation.p == 0.0)
    if isinstance(operation, str) or not _is_dropout(operation.__name__):
        return False
    arguments = _bound(operation, args, kwargs)
    return arguments.get("training") is False or arguments.get("p") == 0.0


def _bound(function: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a call's arguments by name, defaults included; none for a built-in function, which has no signature."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return {}
    bound.apply_defaults()
    return bound.arguments


def _is_dropout(name: str) -> bool:
    return "drop" in name or name == "stochastic_depth"


def changes_in_place(operation: nn.Module | Callable[..., Any] | str, args: Any, kwargs: Mapping[str, Any]) -> bool:
    """True for operations that change their first argument."""
    if isinstance(operation, nn.Module):
        return bool(getattr(operation, "inplace", False))
    if operation is operator.setitem:
        return True
    if isinstance(operation, str):
        return operation.endswith("_") and not operation.endswith("__")
    name = getattr(operation, "__name__", "")
    if (name.endswith("_") and not name.endswith("__")) or operation in _IN_PLACE_OPERATORS:
        return True
    return _bound(operation, args, kwargs).get("inplace") is True


_IN_PLACE_OPERATORS = frozenset(
    [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ipow, operator.ifloordiv]
)
