"""Fused forms of element-wise operations, in the layout of their operands."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from cnnsweep.fusion.stacked_tensor import Layout, Stacked

# By name: functions of torch and torch.nn.functional and methods of tensors mostly share names.
_NAMES = [
    "abs", "acos", "asin", "atan", "atan2", "ceil", "celu", "clamp", "clamp_max", "clamp_min", "clip", "clone",
    "cos", "cosh", "detach", "div", "divide", "double", "elu", "eq", "erf", "exp", "expm1", "float", "floor",
    "floor_divide", "fmod", "ge", "gelu", "gt", "half", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "heaviside", "isfinite", "isnan", "le", "leaky_relu", "lerp", "log", "log10", "log1p", "log2", "logical_and",
    "logical_not", "logical_or", "logsigmoid", "logit", "lt", "masked_fill", "maximum", "minimum", "mish", "mul",
    "multiply", "ne", "neg", "negative", "positive", "pow", "reciprocal", "relu", "relu6", "remainder", "round",
    "rsqrt", "rsub", "selu", "sgn", "sigmoid", "sign", "silu", "sin", "softplus", "softshrink", "softsign", "sqrt",
    "square", "sub", "subtract", "tan", "tanh", "tanhshrink", "threshold", "to", "true_divide", "trunc", "type",
    "type_as", "where", "xlogy", "add", "bfloat16", "bool", "int", "long", "nan_to_num", "addcmul", "addcdiv",
]  # fmt: skip
_OPERATORS = [
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "neg", "pos", "abs", "lt", "le", "gt", "ge", "eq",
    "ne", "and_", "or_", "xor", "invert", "iadd", "isub", "imul", "itruediv", "ipow",
]  # fmt: skip

POINTWISE_FUNCTIONS: frozenset[Any] = frozenset(
    [
        getattr(home, name)
        for home in (torch, F)
        for name in [*_NAMES, *(f"{n}_" for n in _NAMES)]
        if hasattr(home, name)
    ]
    + [getattr(operator, name) for name in _OPERATORS]
)
POINTWISE_METHODS: frozenset[str] = frozenset(
    name for name in [*_NAMES, *(f"{n}_" for n in _NAMES)] if hasattr(Tensor, name)
)
POINTWISE_MODULES: tuple[type[nn.Module], ...] = (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.Identity, nn.LeakyReLU,
    nn.LogSigmoid, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Softshrink, nn.Softsign,
    nn.Tanh, nn.Tanhshrink, nn.Threshold,
)  # fmt: skip


def pointwise(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Apply an element-wise function to operands of any layout, by the broadcasting rules of one run."""
    values = [*args, *kwargs.values()]
    stacked = [value for value in values if isinstance(value, Stacked)]
    tensors = [value for value in values if isinstance(value, Tensor) and value.ndim > 0]
    first = stacked[0]
    if tensors or any(not _fits(first, other) for other in stacked[1:]):
        values, first = _brought_together(values, stacked, tensors)
    plain = [value.tensor if isinstance(value, Stacked) else value for value in values]
    result = function(*plain[: len(args)], **dict(zip(kwargs, plain[len(args) :], strict=True)))
    return first.with_tensor(result)


def converted(function: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Any:
    """Give values the type or device of others of any shape."""
    args = tuple(arg.tensor if isinstance(arg, Stacked) else arg for arg in args)
    kwargs = {name: value.tensor if isinstance(value, Stacked) else value for name, value in kwargs.items()}
    kwargs.pop("memory_format", None)  # the memory order is free here
    return (
        x.with_tensor(function(x.tensor, *args, **kwargs)) if isinstance(x, Stacked) else function(x, *args, **kwargs)
    )


def _fits(first: Stacked, other: Stacked) -> bool:
    """True if the tensors broadcast as the runs' own would."""
    if first.layout is not other.layout or first.copies != other.copies:
        return False
    same_rank = first.tensor.ndim == other.tensor.ndim
    return same_rank and (first.layout is Layout.RUNS or first.tensor.shape[1] == other.tensor.shape[1])


def _brought_together(values: list[Any], stacked: list[Stacked], tensors: list[Tensor]) -> tuple[list[Any], Stacked]:
    """Return the operands in one layout and of one rank, and one of them for its layout."""
    runs = stacked[0].runs
    rank = max([*(len(s.shape) for s in stacked), *(t.ndim for t in tensors)])
    to_channels = rank >= 2 and any(s.layout is Layout.CHANNELS for s in stacked)
    shapes = [*(s.shape for s in stacked), *(t.shape for t in tensors)]
    channels = max((shape[1 - rank] for shape in shapes if rank >= 2 and len(shape) >= rank - 1), default=1)
    together = []
    for value in values:
        if isinstance(value, Tensor) and value.ndim > 0:
            value = Stacked.by_runs(value.expand(runs, *value.shape))
        if isinstance(value, Stacked):
            value = _aligned(value, rank, channels if to_channels else None)
        together.append(value)
    return together, next(value for value in together if isinstance(value, Stacked))


def _aligned(value: Stacked, rank: int, channels: int | None) -> Stacked:
    """Return the value with `rank` dimensions per run: in CHANNELS layout with these channels, or in RUNS layout."""
    if channels is not None and value.layout is Layout.CHANNELS and value.shape[1] == channels:
        return value.own()
    tensor = value.in_runs().tensor
    tensor = tensor.reshape(len(tensor), *[1] * (rank + 1 - tensor.ndim), *tensor.shape[1:])  # (K, *shape of rank)
    if channels is None:
        return Stacked.by_runs(tensor)
    if tensor.shape[2] != channels:
        tensor = tensor.expand(-1, -1, channels, *tensor.shape[3:])
    return Stacked.by_runs(tensor).in_channels()
