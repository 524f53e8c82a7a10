"""Fused forms of expensive layers: convolutions, matrix products, normalisation, pooling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name

from cnnsweep.fusion.stacked_tensor import Stacked

CONVOLUTIONS: Mapping[type[nn.Module], Callable[..., Tensor]] = {
    nn.Conv1d: F.conv1d, nn.Conv2d: F.conv2d, nn.Conv3d: F.conv3d,
}  # fmt: skip
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
# They treat each channel by itself, so K·C channels work like C.
CHANNELWISE_MODULES: tuple[type[nn.Module], ...] = (
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.ConstantPad2d, nn.LPPool2d, nn.MaxPool1d,
    nn.MaxPool2d, nn.MaxPool3d, nn.PixelShuffle, nn.PixelUnshuffle, nn.ReflectionPad2d, nn.ReplicationPad2d,
    nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d, nn.ZeroPad2d,
)  # fmt: skip
CHANNELWISE_FUNCTIONS = frozenset(
    [
        F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d, F.adaptive_max_pool1d,
        F.adaptive_max_pool2d, F.adaptive_max_pool3d, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d, F.interpolate,
        F.lp_pool2d, F.max_pool1d, F.max_pool2d, F.max_pool3d, F.pixel_shuffle, F.pixel_unshuffle, F.upsample,
        torch.adaptive_avg_pool1d, torch.avg_pool1d, torch.max_pool1d, torch.max_pool2d, torch.max_pool3d,
        torch.pixel_shuffle, torch.pixel_unshuffle,
    ]
)  # fmt: skip


def convolution(
    function: Callable[..., Tensor],
    x: Stacked,
    weight: Stacked | Tensor,
    bias: Stacked | Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Convolve as one grouped convolution, the runs side by side in the channels.

    If runs share their images, a group has one image and the filters of all runs that use it.
    """
    if not isinstance(x, Stacked) or len(x.shape) != len(weight.shape):  # one image without a batch
        return NotImplemented
    x = x.in_channels()
    if groups > 1:  # the filters of one group use only channels of their own run
        x = x.own()
    filters = _side_by_side(weight, x.runs)
    biases = None if bias is None else _side_by_side(bias, x.runs)
    if biases is not None and _sums_bias_itself(x.tensor, stride, padding, dilation):
        y = _BiasSummed.apply(function, x.tensor, filters, biases, stride, padding, dilation, x.copies * groups)
    else:
        y = function(x.tensor, filters, biases, stride, padding, dilation, x.copies * groups)
    return Stacked.by_channels(y, x.runs)


def _sums_bias_itself(x: Tensor, *sizes: Any) -> bool:
    return (
        x.device.type == "cpu"
        and torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and all(isinstance(size, tuple) for size in sizes)
    )


class _BiasSummed(torch.autograd.Function):
    """A convolution whose bias gets its gradient by a plain sum.

    oneDNN's convolutions compute it with the filters' gradient, which takes three times as long if a group has few
    channels.
    """

    @staticmethod
    def forward(ctx: Any, function: Any, x: Tensor, filters: Tensor, biases: Tensor, *sizes: Any) -> Tensor:
        ctx.save_for_backward(x, filters)
        ctx.sizes = sizes
        y: Tensor = function(x, filters, biases, *sizes)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, filters = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.sizes
        wanted = [ctx.needs_input_grad[1], ctx.needs_input_grad[2], False]
        of_x, of_filters, _ = torch.ops.aten.convolution_backward(
            gradient, x, filters, None, stride, padding, dilation, False, [0] * len(stride), groups, wanted
        )
        of_biases = gradient.sum((0, *range(2, gradient.ndim))) if ctx.needs_input_grad[3] else None
        return None, of_x, of_filters, of_biases, None, None, None, None


def convolution_module(module: nn.Module, tensors: Mapping[str, Stacked], x: Stacked) -> Any:
    """Convolve as a module does, with its padding mode."""
    conv = cast(nn.Conv2d, module)
    if len(x.shape) != len(tensors["weight"].shape):
        return NotImplemented
    padding: Any = conv.padding
    if conv.padding_mode != "zeros":
        x = x.in_channels()
        x = x.with_tensor(F.pad(x.tensor, conv._reversed_padding_repeated_twice, mode=conv.padding_mode))
        padding = 0
    function = CONVOLUTIONS[type(module)]
    return convolution(
        function, x, tensors["weight"], tensors.get("bias"), conv.stride, padding, conv.dilation, conv.groups
    )


def linear(_: Any, x: Stacked, weight: Stacked | Tensor, bias: Stacked | Tensor | None = None) -> Any:
    """Multiply each run's features (K, N, in) by its matrix."""
    if not isinstance(x, Stacked) or not isinstance(weight, Stacked) or not isinstance(bias, Stacked | None):
        return NotImplemented
    features = x.in_runs().tensor
    if features.ndim < 3:
        return NotImplemented
    middle = features.shape[1:-1]
    # Written as weight times features, so that the weights' gradient comes in the weights' own memory order.
    columns = features.flatten(1, -2).transpose(1, 2)  # (K, in, N)
    matrices = weight.tensor  # (K, out, in)
    y = torch.bmm(matrices, columns) if bias is None else torch.baddbmm(bias.tensor[:, :, None], matrices, columns)
    return Stacked.by_runs(y.transpose(1, 2).unflatten(1, middle))


def linear_module(module: nn.Module, tensors: Mapping[str, Stacked], x: Stacked) -> Any:
    """See `linear`."""
    return linear(module, x, tensors["weight"], tensors.get("bias"))


def batch_norm(
    _: Any,
    x: Stacked,
    running_mean: Stacked | None,
    running_var: Stacked | None,
    weight: Stacked | None = None,
    bias: Stacked | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise K·C channels, each run's by its own statistics."""
    if len(x.shape) < 2:
        return NotImplemented
    x = x.in_channels().own()
    mean, variance, scale, shift = (
        None if t is None else _side_by_side(t, x.runs) for t in (running_mean, running_var, weight, bias)
    )
    return Stacked.by_channels(F.batch_norm(x.tensor, mean, variance, scale, shift, training, momentum, eps), x.runs)


def batch_norm_module(module: nn.Module, tensors: Mapping[str, Stacked], x: Stacked) -> Any:
    """Normalise as a module does, and update its running statistics."""
    norm = cast(nn.BatchNorm2d, module)
    mean, variance, seen = (tensors.get(name) for name in ("running_mean", "running_var", "num_batches_tracked"))
    if norm.momentum is None and mean is not None:
        return NotImplemented  # a mean over all batches so far, whose number may differ between runs
    if norm.training and seen is not None:
        seen.tensor.add_(1)
    use_batch = norm.training or mean is None
    momentum = 0.0 if norm.momentum is None else norm.momentum
    return batch_norm(
        None, x, mean, variance, tensors.get("weight"), tensors.get("bias"), use_batch, momentum, norm.eps
    )


def group_norm(
    _: Any,
    x: Stacked,
    num_groups: int,
    weight: Stacked | None = None,
    bias: Stacked | None = None,
    eps: float = 1e-5,
) -> Any:
    """Normalise K times as many groups of channels."""
    x = x.in_channels().own()
    scale, shift = (None if t is None else _side_by_side(t, x.runs) for t in (weight, bias))
    return Stacked.by_channels(F.group_norm(x.tensor, x.runs * num_groups, scale, shift, eps), x.runs)


def group_norm_module(module: nn.Module, tensors: Mapping[str, Stacked], x: Stacked) -> Any:
    """See `group_norm`."""
    norm = cast(nn.GroupNorm, module)
    return group_norm(None, x, norm.num_groups, tensors.get("weight"), tensors.get("bias"), norm.eps)


def layer_norm(
    _: Any,
    x: Stacked,
    normalized_shape: Sequence[int],
    weight: Stacked | None = None,
    bias: Stacked | None = None,
    eps: float = 1e-5,
) -> Any:
    """Normalise over the last dimensions, then scale and shift as each run does."""
    values = x.in_runs().tensor
    y = F.layer_norm(values, normalized_shape, None, None, eps)
    between = [1] * (values.ndim - 1 - len(normalized_shape))
    for tensor, function in ((weight, torch.mul), (bias, torch.add)):
        if tensor is not None:
            if not isinstance(tensor, Stacked):
                return NotImplemented
            y = function(y, tensor.tensor.reshape(x.runs, *between, *normalized_shape))
    return Stacked.by_runs(y)


def layer_norm_module(module: nn.Module, tensors: Mapping[str, Stacked], x: Stacked) -> Any:
    """See `layer_norm`."""
    norm = cast(nn.LayerNorm, module)
    return layer_norm(None, x, norm.normalized_shape, tensors.get("weight"), tensors.get("bias"), norm.eps)


def channelwise(function: Callable[..., Any], x: Stacked, *args: Any, **kwargs: Any) -> Any:
    """Apply an operation that treats every channel by itself."""
    if len(x.shape) != _rank_of(function, x) or kwargs.get("return_indices"):
        return NotImplemented
    x = x.in_channels()
    y = function(x.tensor, *args, **kwargs)
    return x.with_tensor(y) if isinstance(y, Tensor) else NotImplemented


def _rank_of(function: Callable[..., Any], x: Stacked) -> int:
    """Return the rank of values with a batch; with a lower rank, images would become channels."""
    name = type(function).__name__ if isinstance(function, nn.Module) else function.__name__
    digits = [int(digit) for digit in name if digit in "123"]
    if digits:
        return digits[-1] + 2
    return 4 if "shuffle" in name.lower() else max(3, len(x.shape))


def pad(_: Any, x: Stacked, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Pad pixels; padding of channels uses the fallback."""
    if len(x.shape) < 3 or len(pad) > 2 * (len(x.shape) - 2):
        return NotImplemented
    x = x.in_channels()
    return x.with_tensor(F.pad(x.tensor, list(pad), mode, value))


def _side_by_side(tensor: Stacked | Tensor, runs: int) -> Tensor:
    """Return (K·C, …) from each run's (C, …); a shared tensor is repeated."""
    if isinstance(tensor, Stacked):
        return tensor.in_runs().tensor.flatten(0, 1)
    return tensor.repeat(runs, *[1] * (tensor.ndim - 1))
