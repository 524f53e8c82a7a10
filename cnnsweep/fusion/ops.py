"""Tables of the fused forms of functions, methods and module classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from cnnsweep.fusion import layers
from cnnsweep.fusion import reshape as shapes
from cnnsweep.fusion.pointwise import POINTWISE_FUNCTIONS, POINTWISE_METHODS, POINTWISE_MODULES, converted, pointwise
from cnnsweep.fusion.stacked_tensor import Stacked

# (function, its arguments with `Stacked` for tensors) → result, or NotImplemented if the form does not apply.
FunctionForm = Callable[..., Any]
# (module, its own parameters and buffers by name, its arguments) → likewise.
ModuleForm = Callable[..., Any]


def _same(_: Any, x: Stacked, **_options: Any) -> Stacked:
    """Return the values: the memory order is free here."""
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


def function_form(function: Callable[..., Any]) -> FunctionForm | None:
    """Return the fused form of a function, or None."""
    try:
        return _FUNCTIONS.get(function)
    except TypeError:  # not hashable
        return None


def method_form(name: str) -> FunctionForm | None:
    """Return the fused form of a tensor's method, or None."""
    return _METHODS.get(name)


def module_form(module: nn.Module) -> ModuleForm | None:
    """Return the fused form of a module of exactly this class, without hooks; others may behave differently."""
    if module._forward_hooks or module._forward_pre_hooks:
        return None
    return _MODULES.get(type(module))


def tensor_method(name: str) -> Callable[..., Any]:
    """Return a method of tensors as a function."""
    method: Callable[..., Any] = getattr(Tensor, name)
    return method
