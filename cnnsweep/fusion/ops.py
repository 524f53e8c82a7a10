"""Which form each operation has: the fast ones by table, the general ones for all others, and what is random."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from cnnsweep.fusion import layers
from cnnsweep.fusion import reshape as shapes
from cnnsweep.fusion.pointwise import POINTWISE_FUNCTIONS, POINTWISE_METHODS, POINTWISE_MODULES, converted, pointwise
from cnnsweep.fusion.stacked_tensor import Stacked

# (function, its arguments with `Stacked` for tensors) → result, or NotImplemented where the form does not apply.
FunctionForm = Callable[..., Any]
# (module, its own parameters and buffers by name, its arguments) → the same.
ModuleForm = Callable[..., Any]


def _same(_: Any, x: Stacked, **_options: Any) -> Stacked:
    """Leave values as they are: the memory order is ours to choose."""
    return x


_FUNCTIONS: dict[Any, FunctionForm] = {
    **dict.fromkeys(POINTWISE_FUNCTIONS, pointwise),
    **dict.fromkeys(layers.CHANNELWISE_FUNCTIONS, layers.channelwise),
    **dict.fromkeys([F.conv1d, F.conv2d, F.conv3d, torch.conv1d, torch.conv2d, torch.conv3d], layers.convolution),
    F.linear: layers.linear,
    F.batch_norm: layers.batch_norm,
    F.group_norm: layers.group_norm,
    F.layer_norm: layers.layer_norm,
    F.pad: layers.pad,
    torch.flatten: shapes.flatten,
    torch.reshape: shapes.reshape,
    torch.cat: shapes.concatenate,
    torch.concat: shapes.concatenate,
    torch.mean: shapes.reduce_pixels,
    torch.sum: shapes.reduce_pixels,
    torch.amax: shapes.reduce_pixels,
    getattr: shapes.attribute,
}
_METHODS: dict[str, FunctionForm] = {
    **dict.fromkeys(POINTWISE_METHODS, pointwise),
    **dict.fromkeys(["to", "type", "type_as"], converted),
    "flatten": shapes.flatten,
    "reshape": shapes.reshape,
    "view": shapes.reshape,
    "reshape_as": shapes.reshape_as,
    "view_as": shapes.reshape_as,
    "size": shapes.size,
    "dim": shapes.dim,
    "contiguous": _same,
    "mean": shapes.reduce_pixels,
    "sum": shapes.reduce_pixels,
    "amax": shapes.reduce_pixels,
}
_MODULES: dict[type[nn.Module], ModuleForm] = {
    **dict.fromkeys(POINTWISE_MODULES, lambda module, _, x: pointwise(module, x)),
    **dict.fromkeys(layers.CHANNELWISE_MODULES, lambda module, _, x: layers.channelwise(module, x)),
    **dict.fromkeys(layers.CONVOLUTIONS, layers.convolution_module),
    **dict.fromkeys(layers.BATCH_NORMS, layers.batch_norm_module),
    nn.Linear: layers.linear_module,
    nn.GroupNorm: layers.group_norm_module,
    nn.LayerNorm: layers.layer_norm_module,
    nn.Flatten: lambda module, _, x: shapes.flatten(None, x, module.start_dim, module.end_dim),
}

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_RANDOM_NAMES = frozenset([
    "dropout", "dropout_", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "alpha_dropout_",
    "feature_alpha_dropout", "feature_dropout", "rrelu", "rrelu_", "stochastic_depth", "drop_block2d", "bernoulli",
    "bernoulli_", "rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal",
    "normal_", "uniform_", "random_", "exponential_", "geometric_", "log_normal_", "cauchy_", "multinomial",
    "poisson", "gumbel_softmax", "fractional_max_pool2d",
])  # fmt: skip
_RANDOM_MODULES = (*_DROPOUTS, nn.RReLU, nn.FractionalMaxPool2d)


def function_form(function: Callable[..., Any]) -> FunctionForm | None:
    """Return the fast form of a function, or None."""
    try:
        return _FUNCTIONS.get(function)
    except TypeError:  # not hashable
        return None


def method_form(name: str) -> FunctionForm | None:
    """Return the fast form of a tensor's method, or None."""
    return _METHODS.get(name)


def module_form(module: nn.Module) -> ModuleForm | None:
    """Return the fast form of a module of exactly this class, without hooks: others may do something else."""
    if module._forward_hooks or module._forward_pre_hooks:
        return None
    return _MODULES.get(type(module))


def is_random(operation: nn.Module | Callable[..., Any] | str) -> bool:
    """True if an operation may draw random numbers."""
    if isinstance(operation, nn.Module):
        return isinstance(operation, _RANDOM_MODULES)
    name = operation if isinstance(operation, str) else getattr(operation, "__name__", "")
    return name in _RANDOM_NAMES


def looks_at_memory(operation: nn.Module | Callable[..., Any] | str) -> bool:
    """True if what an operation gives depends on how values lie in memory, which is not as in a model alone."""
    name = operation if isinstance(operation, str) else getattr(operation, "__name__", "")
    return name in _MEMORY_NAMES


_MEMORY_NAMES = frozenset([
    "as_strided", "as_strided_", "as_strided_copy", "as_strided_scatter", "stride", "is_contiguous", "data_ptr",
    "storage", "untyped_storage", "storage_offset", "dim_order", "set_", "resize_", "resize_as_",
])  # fmt: skip


def is_switched_off(operation: nn.Module | Callable[..., Any] | str, args: Any, kwargs: Mapping[str, Any]) -> bool:
    """True for a dropout or stochastic depth that hands its input on: in evaluation, or with probability 0."""
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
    """True for operations that a caller uses for what they do to their first argument."""
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


def tensor_method(name: str) -> Callable[..., Any]:
    """Return a method of tensors as a function."""
    method: Callable[..., Any] = getattr(Tensor, name)
    return method
