"""Every operation gives K fused runs the outputs, gradients and buffers that each run has alone."""

# ruff: noqa: ARG005 - every forward is given the module and its images
from __future__ import annotations

import operator
from collections.abc import Callable

import pytest
import torch
from fused_and_alone import (
    CHANNELS,
    SIDE,
    Forward,
    assert_evaluates_as_alone,
    assert_trains_as_alone,
    build,
    fuse,
    random_images,
)
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.nn.utils import parametrizations

FEATURES = CHANNELS * SIDE * SIDE


def after_conv(function: Callable[[nn.Module, Tensor], Tensor], **parts: Callable[[], object]) -> Callable:
    """A convolution, so that runs have values of their own, and then a function of them."""
    return lambda: Forward(
        lambda module, x: function(module, module.conv(x)),
        conv=nn.Conv2d(CHANNELS, 4, 3, padding=1),
        **{name: part() for name, part in parts.items()},
    )


def layer(make: Callable[[], nn.Module]) -> Callable:
    """A convolution and then one layer."""
    return after_conv(lambda m, x: m.layer(x), layer=make)


def parameter(*shape: int) -> Callable[[], nn.Parameter]:
    return lambda: nn.Parameter(torch.randn(shape))


def buffer(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(shape)


class Residual(nn.Module):
    """The same layers used three times."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.block(x) + x
        return x


class Tied(nn.Module):
    """Two layers with one weight, and a parameter with two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.second.weight = self.first.weight
        self.scale = nn.Parameter(torch.randn(4, 1, 1))
        self.same_scale = self.scale

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x) * self.scale) * self.same_scale


class SqueezeExcite(nn.Module):
    """Channels weighted by what all pixels say, as (N, C, 1, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class SqueezeExciteLinear(nn.Module):
    """The same by linear layers and `view`."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(4, 2, bias=False), nn.ReLU(inplace=True), nn.Linear(2, 4), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        n, c, _, _ = x.size()
        return x * self.fc(x.mean((2, 3))).view(n, c, 1, 1).expand_as(x)


class SpatialAttention(nn.Module):
    """Pixels weighted by a map (N, 1, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], dim=1)
        return x * torch.sigmoid(self.conv(both))


class Attention(nn.Module):
    """nn.MultiheadAttention over the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, 8, 3, stride=2)
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(self.conv(x).flatten(2).transpose(1, 2))
        return tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]


class AttentionByHand(nn.Module):
    """Queries, keys and values from one linear layer, with reshape, permute, matmul and softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(CHANNELS, 12, bias=False)
        self.position = nn.Parameter(torch.randn(1, SIDE * SIDE, 4))

    def forward(self, x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        x = x.flatten(2).permute(0, 2, 1) + self.position
        q, k, v = self.qkv(x).reshape(n, h * w, 3, 2, 2).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q @ k.transpose(-2, -1) * 2**-0.5).softmax(dim=-1)
        return (weights @ v).transpose(1, 2).reshape(n, h * w, 4)


class ModuleListLoop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1) for _ in range(2)])
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 3), "b": nn.Linear(4, 3, bias=False)})
        self.scales = nn.ParameterList([nn.Parameter(torch.randn(4, 1, 1)) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        for stage, scale in zip(self.stages, self.scales, strict=True):
            x = F.relu(stage(x)) * scale
        x = x.mean((2, 3))
        return sum(head(x) for head in self.heads.values())


class RunningMean(nn.Module):
    """Keeps a mean of its own, in a buffer that it changes in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, 4, 1)
        self.register_buffer("mean", torch.randn(4))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * x.detach().mean((0, 2, 3)))
            self.steps.add_(1)
        return x - self.mean[:, None, None]


class Frozen(nn.Module):
    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(CHANNELS, 4, 3), nn.Conv2d(4, 2, 3)
        self.norm = nn.BatchNorm2d(4)
        for p in [*self.first.parameters(), self.norm.weight]:
            p.requires_grad = False

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.norm(self.first(x)))


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(FEATURES, 3), nn.Linear(5, 2)
        self.alone = nn.Parameter(torch.randn(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x.flatten(1))


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Sequential(Residual(), SqueezeExcite()), nn.Sequential(nn.Identity(), Tied()))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


def shuffled(x: Tensor, groups: int) -> Tensor:
    n, c, h, w = x.size()
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)


def changed(x: Tensor, change: Callable[[Tensor], object]) -> Tensor:
    """Change a value in place, ignoring what the operation returns."""
    x = x * 1.0  # a value that backward does not need
    change(x)
    return x


def with_hook(module: nn.Module) -> nn.Module:
    module.register_forward_hook(lambda _, args, output: output * 2 + 1)
    return module


def with_pre_hook(module: nn.Module) -> nn.Module:
    module.register_forward_pre_hook(lambda _, args: (args[0] * 3,))
    return module


def without_gradient(m: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        x = m.frozen(x)
    return m.trained(x)


def conv_with_own_parameters(m: nn.Module, x: Tensor) -> Tensor:
    x = F.conv2d(x, m.kernel, m.shift, stride=2, padding=1)
    x = F.batch_norm(x, m.mean, m.variance, m.gamma, m.beta, m.training, 0.2)
    return F.linear(torch.relu(x).flatten(1), m.matrix, m.offset)


CASES: dict[str, Callable[[], nn.Module]] = {
    # Convolutions.
    "conv1d": lambda: Forward(lambda m, x: m.conv(x.flatten(2)), conv=nn.Conv1d(CHANNELS, 6, 3, padding=1)),
    "conv1d circular": lambda: Forward(
        lambda m, x: m.conv(x.flatten(2)), conv=nn.Conv1d(CHANNELS, 6, 3, padding=1, padding_mode="circular")
    ),
    "conv2d": lambda: nn.Conv2d(CHANNELS, 6, 3),
    "conv2d twice": lambda: nn.Sequential(nn.Conv2d(CHANNELS, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 3)),
    "conv2d without bias": lambda: nn.Sequential(nn.Conv2d(CHANNELS, 6, 3, bias=False), nn.Conv2d(6, 2, 1, bias=False)),
    "conv2d of groups": lambda: nn.Sequential(nn.Conv2d(CHANNELS, 6, 3, groups=2), nn.Conv2d(6, 9, 3, groups=3)),
    "conv2d depthwise": lambda: nn.Sequential(nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(8, 8, 3, groups=8)),
    "conv2d with stride": lambda: nn.Conv2d(CHANNELS, 6, 3, stride=(2, 1)),
    "conv2d dilated": lambda: nn.Conv2d(CHANNELS, 6, (3, 2), dilation=(2, 3), padding=(2, 1)),
    "conv2d same": lambda: nn.Conv2d(CHANNELS, 6, 3, padding="same", dilation=2),
    "conv2d valid": lambda: nn.Conv2d(CHANNELS, 6, 3, padding="valid"),
    **{
        f"conv2d {mode}": lambda mode=mode: nn.Sequential(
            nn.Conv2d(CHANNELS, 6, 3, padding=(1, 2), padding_mode=mode),
            nn.Conv2d(6, 4, 3, padding="same", padding_mode=mode, groups=2),
        )
        for mode in ("circular", "reflect", "replicate")
    },
    "conv_transpose2d": layer(lambda: nn.ConvTranspose2d(4, 3, 2, stride=2)),
    "conv3d": lambda: Forward(lambda m, x: m.conv(x.unsqueeze(1)), conv=nn.Conv3d(1, 2, 3, padding=1)),
    "conv2d of one image without batch": lambda: Forward(
        lambda m, x: m.conv(torch.tanh(m.first(x))[0]), first=nn.Conv2d(CHANNELS, 3, 1), conv=nn.Conv2d(3, 2, 3)
    ),
    "functional spelling": lambda: Forward(
        conv_with_own_parameters,
        kernel=nn.Parameter(torch.randn(6, CHANNELS, 3, 3)), shift=nn.Parameter(torch.randn(6)),
        mean=torch.randn(6), variance=torch.rand(6) + 0.5, gamma=nn.Parameter(torch.randn(6)),
        beta=nn.Parameter(torch.randn(6)), matrix=nn.Parameter(torch.randn(3, 96)), offset=nn.Parameter(torch.randn(3)),
    ),
    "conv2d with a constant kernel": after_conv(lambda m, x: F.conv2d(x, torch.ones(2, 4, 3, 3, dtype=x.dtype))),
    "conv2d with a computed kernel": lambda: Forward(
        lambda m, x: F.conv2d(x, m.kernel - m.kernel.mean((1, 2, 3), keepdim=True), padding="same"),
        kernel=nn.Parameter(torch.randn(5, CHANNELS, 3, 3)),
    ),
    "unfold": after_conv(lambda m, x: F.unfold(x, 3).mean(2)),
    # Matrix products.
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, 5)),
    "linear without bias": lambda: nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, 5, bias=False), nn.Linear(5, 3)),
    "linear on 4-D values": lambda: nn.Linear(SIDE, 5),
    "linear on 3-D values": lambda: nn.Sequential(nn.Flatten(2), nn.Linear(SIDE * SIDE, 5), nn.Linear(5, 2,
    bias=False)),
    "linear on channels": lambda: Forward(lambda m, x: m.fc(x.permute(0, 2, 3, 1)), fc=nn.Linear(CHANNELS, 3)),
    "linear on one vector": lambda: Forward(lambda m, x: m.fc(x.mean((0, 2, 3))), fc=nn.Linear(CHANNELS, 3)),
    "bilinear": lambda: Forward(lambda m, x: m.fc(x.mean((2, 3)), x.amax((2, 3))), fc=nn.Bilinear(4, 4, 3)),
    "matmul with a parameter": lambda: Forward(lambda m, x: x @ m.matrix, matrix=nn.Parameter(torch.randn(SIDE, 3))),
    "einsum": lambda: Forward(
        lambda m, x: torch.einsum("nchw,dc->ndhw", x, m.matrix), matrix=nn.Parameter(torch.randn(3, CHANNELS))
    ),
    "multi-head attention": Attention,
    "attention by hand": AttentionByHand,
    "scaled_dot_product_attention": after_conv(
        lambda m, x: F.scaled_dot_product_attention(x, torch.tanh(x), x.flip(1))
    ),
    "tokens with a class token": lambda: Forward(
        lambda m, x: torch.cat([m.token.expand(x.shape[0], -1, -1), m.conv(x).flatten(2).transpose(1, 2)], 1) + m.place,
        conv=nn.Conv2d(CHANNELS, 6, 4, stride=4), token=nn.Parameter(torch.randn(1, 1, 6)),
        place=nn.Parameter(torch.randn(1, 5, 6)),
    ),
    "lstm": after_conv(lambda m, x: m.lstm(x.mean(2))[0], lstm=lambda: nn.LSTM(SIDE, 3, batch_first=True)),
    # Normalisation.
    "batch_norm2d": lambda: nn.Sequential(nn.Conv2d(CHANNELS, 6, 3), nn.BatchNorm2d(6), nn.ReLU()),
    "batch_norm2d of images": lambda: nn.Sequential(nn.BatchNorm2d(CHANNELS), nn.Conv2d(CHANNELS, 3, 3)),
    "batch_norm2d without affine": layer(lambda: nn.BatchNorm2d(4, affine=False, momentum=0.3, eps=1e-2)),
    "batch_norm2d without tracking": layer(lambda: nn.BatchNorm2d(4, track_running_stats=False)),
    "batch_norm2d with cumulative mean": layer(lambda: nn.BatchNorm2d(4, momentum=None)),
    "batch_norm1d": lambda: nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)),
    "batch_norm1d on 3-D values": after_conv(lambda m, x: m.norm(x.flatten(2)), norm=lambda: nn.BatchNorm1d(4)),
    "batch_norm1d without affine": after_conv(
        lambda m, x: m.norm(x.flatten(1)), norm=lambda: nn.BatchNorm1d(FEATURES, affine=False)
    ),
    "batch_norm without statistics": after_conv(lambda m, x: F.batch_norm(x, None, None, training=True)),
    "group_norm": layer(lambda: nn.GroupNorm(2, 4)),
    "group_norm without affine": layer(lambda: nn.GroupNorm(4, 4, affine=False)),
    "group_norm of 3-D values": after_conv(lambda m, x: m.norm(x.flatten(2)), norm=lambda: nn.GroupNorm(1, 4)),
    "group_norm function": after_conv(
        lambda m, x: F.group_norm(x, 2, m.weight, m.bias), weight=parameter(4), bias=parameter(4)
    ),
    "layer_norm": layer(lambda: nn.LayerNorm(SIDE)),
    "layer_norm over three dimensions": layer(lambda: nn.LayerNorm((4, SIDE, SIDE))),
    "layer_norm without affine": layer(lambda: nn.LayerNorm((SIDE, SIDE), elementwise_affine=False)),
    "layer_norm without bias": layer(lambda: nn.LayerNorm(SIDE, bias=False)),
    "layer_norm function": after_conv(
        lambda m, x: F.layer_norm(x.permute(0, 2, 3, 1), (4,), m.weight, m.bias), weight=parameter(4), bias=parameter(4)
    ),
    "layer_norm in place afterwards": after_conv(lambda m, x: m.n(x).relu_() + 1, n=lambda: nn.LayerNorm(SIDE)),
    "rms_norm": layer(lambda: nn.RMSNorm(SIDE)),
    "instance_norm": layer(lambda: nn.InstanceNorm2d(4)),
    "instance_norm with affine": layer(lambda: nn.InstanceNorm2d(4, affine=True)),
    "instance_norm with tracking": layer(lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True)),
    "local_response_norm": layer(lambda: nn.LocalResponseNorm(3)),
    "normalize": after_conv(lambda m, x: F.normalize(x, dim=1)),
    "weight_norm": lambda: parametrizations.weight_norm(nn.Conv2d(CHANNELS, 3, 3)),
    "spectral_norm": lambda: parametrizations.spectral_norm(nn.Conv2d(CHANNELS, 3, 3)),
    # Activations.
    **{
        f"{make().__class__.__name__}": layer(make)
        for make in (
            nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh,
            nn.Softplus, nn.Softsign, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink, nn.Hardswish, nn.Hardsigmoid,
            nn.Hardtanh, nn.LogSigmoid, nn.PReLU, nn.Softmax2d, nn.Identity,
        )
    },
    "Threshold": layer(lambda: nn.Threshold(0.1, 2.0)),
    "GLU": layer(lambda: nn.GLU(1)),
    "PReLU per channel": layer(lambda: nn.PReLU(4)),
    "prelu function": after_conv(lambda m, x: F.prelu(x, m.slope), slope=parameter(4)),
    "softmax": layer(lambda: nn.Softmax(dim=1)),
    "log_softmax": after_conv(lambda m, x: F.log_softmax(x.flatten(1), -1)),
    # Pooling.
    "max_pool2d": layer(lambda: nn.MaxPool2d(2)),
    "max_pool2d overlapping": layer(lambda: nn.MaxPool2d(3, stride=2, padding=1, dilation=2, ceil_mode=True)),
    "max_pool2d with indices": after_conv(lambda m, x: F.max_pool2d(x, 2, return_indices=True)[0]),
    "max_pool2d module with indices": after_conv(
        lambda m, x: m.p(x)[0], p=lambda: nn.MaxPool2d(2, return_indices=True),
    ),
    "unpooling": after_conv(
        lambda m, x: m.u(*two(m.p(x))), p=lambda: nn.MaxPool2d(2, return_indices=True), u=lambda: nn.MaxUnpool2d(2)
    ),
    "avg_pool2d": layer(lambda: nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)),
    "avg_pool2d function": after_conv(lambda m, x: F.avg_pool2d(x, x.size(2))),
    "adaptive_avg_pool2d": layer(lambda: nn.AdaptiveAvgPool2d((3, None))),
    "adaptive_max_pool2d": layer(lambda: nn.AdaptiveMaxPool2d(3)),
    "lp_pool2d": layer(lambda: nn.LPPool2d(2, 2, ceil_mode=True)),
    "max_pool1d": after_conv(lambda m, x: m.pool(x.flatten(2)), pool=lambda: nn.MaxPool1d(3, 2)),
    "avg_pool1d": after_conv(lambda m, x: F.avg_pool1d(x.flatten(2), 3)),
    "adaptive_avg_pool1d": after_conv(lambda m, x: F.adaptive_avg_pool1d(x.flatten(2), 5)),
    "avg_pool2d of 3-D values": after_conv(lambda m, x: F.avg_pool2d(x.mean(1), 3, 1, 1)),
    "adaptive_avg_pool2d module on 3-D values": after_conv(
        lambda m, x: m.pool(x.mean(1)), pool=lambda: nn.AdaptiveAvgPool2d(3)
    ),
    "max_pool1d of 2-D values": after_conv(lambda m, x: F.max_pool1d(x.flatten(1), 4)),
    "avg_pool3d of 4-D values": after_conv(lambda m, x: F.avg_pool3d(x, 3, 1, 1)),
    "global pools": after_conv(lambda m, x: x.mean([2, 3]) + x.amax(dim=(-2, -1)) + torch.mean(x, (2, 3))),
    # Resizing and padding.
    "upsample nearest": layer(lambda: nn.Upsample(scale_factor=2)),
    "upsample bilinear": layer(lambda: nn.Upsample(size=(5, 11), mode="bilinear", align_corners=True)),
    "interpolate bicubic": after_conv(lambda m, x: F.interpolate(x, scale_factor=1.5, mode="bicubic")),
    "interpolate to a size": after_conv(lambda m, x: F.interpolate(F.max_pool2d(x, 2), size=x.shape[2:])),
    "pixel_shuffle": after_conv(lambda m, x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2) + m.s(x).sum((2, 3))[0, 0],
                                s=lambda: nn.PixelShuffle(2)),
    "pad": after_conv(lambda m, x: F.pad(x, (1, 2, 0, 3), value=0.5)),
    "pad reflect": layer(lambda: nn.ReflectionPad2d((1, 2, 3, 0))),
    "pad replicate": after_conv(lambda m, x: F.pad(x, (1, 1, 1, 1), mode="replicate")),
    "pad zeros": layer(lambda: nn.ZeroPad2d((0, 1, 0, 1))),
    "pad channels": after_conv(lambda m, x: F.pad(x, (0, 0, 0, 0, 1, 2))),
    "pad reflect of 3-D values": after_conv(lambda m, x: m.pad(x.mean(1)), pad=lambda: nn.ReflectionPad2d(2)),
    # Shapes.
    "flatten": after_conv(lambda m, x: torch.flatten(x, 1) + x.flatten(-3) + m.flat(x), flat=nn.Flatten),
    "flatten all": after_conv(lambda m, x: x.flatten()),
    "flatten in the middle": after_conv(lambda m, x: torch.flatten(x, 1, 2) * x.flatten(start_dim=1, end_dim=-2)),
    "unflatten": layer(lambda: nn.Unflatten(1, (2, 2))),
    "view": after_conv(lambda m, x: x.contiguous().view(x.size(0), -1)),
    "view as": after_conv(lambda m, x: x.mul(2).contiguous().view_as(x)),
    "reshape": after_conv(
        lambda m, x: x.reshape(x.shape[0], 2, -1) + torch.reshape(x, (len(m.one) * x.size()[0], 2, -1),
    ),
                          one=lambda: nn.ParameterList([nn.Parameter(torch.randn(1))])),
    "reshape by keyword": after_conv(lambda m, x: x.reshape(shape=(-1, 32))),
    "size arithmetic": after_conv(lambda m, x: x.reshape(-1, x.size(1) * x.size(2) // 2, x.dim(), x.ndim).mean(-1)),
    "shape unpacked": after_conv(lambda m, x: unpacked(x)),
    "permute": after_conv(lambda m, x: x.permute(0, 2, 3, 1)),
    "transpose": after_conv(lambda m, x: x.transpose(1, 3) * x.mT.transpose(-1, 1)),
    "squeeze": after_conv(lambda m, x: F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1)),
    "unsqueeze": after_conv(lambda m, x: x.mean(2).unsqueeze(1) + x[:, None, :, 0]),
    "expand": after_conv(lambda m, x: x.mean((2, 3), keepdim=True).expand(-1, -1, 5, 3)),
    "repeat": after_conv(lambda m, x: x.repeat(1, 2, 1, 1)),
    "channel shuffle": after_conv(lambda m, x: shuffled(x, 2)),
    "channel shuffle module": layer(lambda: nn.ChannelShuffle(2)),
    "roll": after_conv(lambda m, x: torch.roll(x, (1, 2), dims=(2, 3))),
    "flip": after_conv(lambda m, x: x.flip(1) + torch.flip(x, (0,))),
    "slices": after_conv(lambda m, x: x[:, 1:3, ::2] + x[:, :2, 1::2]),
    "index": after_conv(lambda m, x: x[:, [2, 0]] + x[..., -1][..., None][:, :2]),
    "index by tensor": after_conv(lambda m, x: x[:, torch.tensor([1, 1, 3])]),
    # Joining and splitting.
    "cat of channels": after_conv(lambda m, x: torch.cat([x, x[:, :1], torch.tanh(x)], 1)),
    "cat with images": lambda: Forward(lambda m, x: torch.cat((m.c(x), x), dim=1), c=nn.Conv2d(CHANNELS, 3, 1)),
    "cat of rows": after_conv(lambda m, x: torch.cat([x, x * 2], dim=2)),
    "cat of columns": after_conv(lambda m, x: torch.cat([x, x * 2], dim=-1)),
    "cat of images": after_conv(lambda m, x: torch.cat([x, x * 2], 0)),
    "cat of features": after_conv(lambda m, x: torch.cat([x.mean((2, 3)), x.amax((2, 3)), x.flatten(1)], -1)),
    "cat with a constant": after_conv(lambda m, x: torch.cat([x, torch.ones((x.shape[0], 1, 8, 8), dtype=x.dtype)], 1)),
    "cat with a parameter": after_conv(
        lambda m, x: torch.cat([x, m.extra.expand(x.shape[0], -1, -1, -1)], 1), extra=parameter(1, 2, SIDE, SIDE)
    ),
    "chunk": after_conv(lambda m, x: operator.mul(*two(x.chunk(2, dim=1)))),
    "split": after_conv(lambda m, x: x.split([1, 3], dim=1)[1] * torch.split(x, 1, 1)[0]),
    "stack": after_conv(lambda m, x: torch.stack([x, torch.sin(x)], dim=1).flatten(1, 2)),
    "dense block": lambda: Forward(
        dense_block, a=nn.Conv2d(CHANNELS, 3, 3, padding=1), b=nn.Conv2d(CHANNELS + 3, 2, 3, padding=1)
    ),
    # Reductions.
    "mean of pixels": after_conv(lambda m, x: x.mean((2, 3))),
    "mean of pixels kept": after_conv(lambda m, x: x - x.mean((2, 3), keepdim=True)),
    "mean of rows": after_conv(lambda m, x: torch.mean(x, 2)),
    "mean of channels": after_conv(lambda m, x: x.mean(1)),
    "mean of channels kept": after_conv(lambda m, x: x / (1 + x.mean(dim=1, keepdim=True) ** 2)),
    "mean of images": after_conv(lambda m, x: x - x.mean(0, keepdim=True)),
    "mean of everything": after_conv(lambda m, x: x - x.mean()),
    "sum of everything by an empty tuple": after_conv(lambda m, x: x * torch.sum(x, ())),
    "sum": after_conv(lambda m, x: x.sum((-1, -2)) + torch.sum(x, dim=[1, 2, 3])[:, None]),
    "std": after_conv(lambda m, x: (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)),
    "max": after_conv(lambda m, x: x.max(1)[0] + x.max(dim=1).values + torch.amax(x, 1)),
    "topk": after_conv(lambda m, x: x.flatten(1).topk(3)[0]),
    "norm": after_conv(lambda m, x: x / torch.linalg.vector_norm(x, dim=1, keepdim=True)),
    "cumsum": after_conv(lambda m, x: x.cumsum(1)),
    # Element by element.
    "add and multiply": after_conv(lambda m, x: torch.add(x, x, alpha=2) * x + torch.mul(x, 3) - 1 / (x * x + 1)),
    "scalar on the left": after_conv(lambda m, x: 2 - 3 * x / 4 + 5 ** torch.tanh(x)),
    "where": after_conv(lambda m, x: torch.where(x > 0, x, x * 0.1) + torch.where(x < 0.3, 1.0, 2.0)),
    "clamp": after_conv(lambda m, x: x.clamp(min=-0.5) + torch.clamp(x, -1, 0.2) + x.clamp_max(0.1)),
    "maximum": after_conv(lambda m, x: torch.maximum(x, x.flip(1)) + torch.minimum(x, torch.zeros_like(x))),
    "masked_fill": after_conv(lambda m, x: x.masked_fill(x < 0, 0.5)),
    "comparison": after_conv(lambda m, x: x * (x > 0).to(x.dtype) + x * (x.abs() < 1)),
    "exponentials": after_conv(lambda m, x: torch.exp(-(x**2)) + torch.log1p(x.abs()) + x.sin().square()),
    "lerp": after_conv(lambda m, x: torch.lerp(x, x.tanh(), m.weight), weight=parameter(4, 1, 1)),
    "type and back": after_conv(lambda m, x: x.float().double().type_as(x).to(x)),
    "type of values of another shape": after_conv(lambda m, x: x.mean((2, 3)).to(x) + x.sum((2, 3)).type_as(x)),
    "memory format": after_conv(
        lambda m, x: x.to(memory_format=torch.channels_last) + x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1,
        2).clone(
            memory_format=torch.contiguous_format)
    ),
    "detach": after_conv(lambda m, x: x * x.detach()),
    "gate of channels and map": after_conv(
        lambda m, x: x * x.mean((2, 3), keepdim=True) * x.mean(1, keepdim=True) * x.mean((1, 2, 3), keepdim=True)
    ),
    "outer broadcast": after_conv(lambda m, x: x.mean((2, 3), keepdim=True) + x.mean(1, keepdim=True)),
    "outer broadcast of 3-D and 4-D": after_conv(lambda m, x: x + x.mean((1, 2))[:, None, None] + x.mean((0, 1))),
    "broadcast of features over images": after_conv(lambda m, x: x.mean((2, 3)) - x.mean((0, 2, 3))),
    # Own parameters and buffers.
    "scale and shift": after_conv(
        lambda m, x: m.scale * x + m.shift, scale=parameter(4, 1, 1), shift=parameter(4, 1, 1),
    ),
    "scale and shift of images": lambda: Forward(
        lambda m, x: m.scale * x + m.shift,
        scale=nn.Parameter(torch.randn(1, CHANNELS, 1, 1)), shift=nn.Parameter(torch.randn(CHANNELS, 1, 1)),
    ),
    "scale of one number": after_conv(lambda m, x: m.scale * x + x / m.scale, scale=parameter(1)),
    "scale of no dimension": after_conv(lambda m, x: m.scale * x, scale=parameter()),
    "scale of more channels": lambda: Forward(
        lambda m, x: m.scale * x.mean(1, keepdim=True), scale=nn.Parameter(torch.randn(5, 1, 1))
    ),
    "parameter of rows": after_conv(lambda m, x: x + m.a + m.b, a=parameter(SIDE), b=parameter(SIDE, 1)),
    "parameter of features": after_conv(lambda m, x: x.mean((2, 3)) * m.a + m.b, a=parameter(4), b=parameter(1, 4)),
    "parameter beside last channels": after_conv(lambda m, x: x.permute(0, 2, 3, 1) * m.gamma, gamma=parameter(4)),
    "parameter alone": after_conv(lambda m, x: x * torch.softmax(m.w, 0)[1] + m.w.sum(), w=parameter(3)),
    "buffers as constants": after_conv(
        lambda m, x: (x - m.mean) / m.spread + m.number, mean=buffer(1, 4, 1, 1), spread=lambda: torch.rand(4, 1,
        1) + 1,
        number=buffer(),
    ),
    "constant tensors": after_conv(
        lambda m, x: x * torch.tensor([1.0, 2, 3, 4]).to(x)[:, None, None] + torch.tensor(2.0),
    ),
    "constant of image shape": after_conv(lambda m, x: x + torch.arange(x.shape[-1]).to(x)[None, None, None]),
    "running mean in a buffer": RunningMean,
    # In place.
    "iadd": after_conv(lambda m, x: operator.iadd(x.clone(), x.tanh())),
    "iadd of a residual": lambda: Forward(in_place_residual, conv=nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)),
    "iadd of a parameter": after_conv(lambda m, x: changed(x, lambda y: y.add_(m.b)), b=parameter(4, 1, 1)),
    "relu_": after_conv(lambda m, x: F.relu_(x * 2) + torch.relu_(x * 3) + x.relu_()),
    "relu_ unused": after_conv(lambda m, x: changed(x, lambda y: y.relu_())),
    "relu module unused": after_conv(lambda m, x: changed(x, m.relu), relu=lambda: nn.ReLU(inplace=True)),
    "relu function unused": after_conv(lambda m, x: changed(x, lambda y: F.relu(y, inplace=True))),
    "threshold function unused": after_conv(lambda m, x: changed(x, lambda y: F.threshold(y, 0.1, 3.0, True))),
    "add_ unused": after_conv(lambda m, x: changed(x, lambda y: y.add_(x.tanh()))),
    "add_ of a map unused": after_conv(lambda m, x: changed(x, lambda y: y.add_(x.mean(1, keepdim=True)))),
    "mul_ of images unused": lambda: Forward(
        lambda m, x: changed(x, lambda y: y.mul_(m.scale)), scale=nn.Parameter(torch.randn(CHANNELS, 1, 1))
    ),
    "iadd on zeros": after_conv(lambda m, x: changed(torch.zeros(x.shape, dtype=x.dtype), lambda y: y.add_(x))),
    "fill_": after_conv(lambda m, x: x + changed(x, lambda y: y.fill_(3.0))),
    "dropout function in place in evaluation": after_conv(
        lambda m, x: changed(x, lambda y: F.dropout(y, 0.0, inplace=True)),
    ),
    # Whole models.
    "residual with reused layers": Residual,
    "tied weights": Tied,
    "squeeze and excite": SqueezeExcite,
    "squeeze and excite by linear layers": SqueezeExciteLinear,
    "spatial attention": SpatialAttention,
    "module lists": ModuleListLoop,
    "frozen parameters": Frozen,
    "unused parameters": Unused,
    "nested modules": Nested,
    "no parameters": lambda: Forward(lambda m, x: x.mean((2, 3)) * 2),
    "forward hook": layer(lambda: with_hook(nn.Conv2d(4, 3, 3))),
    "forward pre-hook": layer(lambda: with_pre_hook(nn.BatchNorm2d(4))),
    "no_grad": lambda: Forward(
        without_gradient, frozen=nn.Sequential(nn.Conv2d(CHANNELS, 4, 3), nn.BatchNorm2d(4)), trained=nn.Conv2d(4, 3, 3)
    ),
}  # fmt: skip


def unpacked(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x.reshape(n, w, h * c)


def dense_block(m: nn.Module, x: Tensor) -> Tensor:
    features = [x]
    features.append(m.a(torch.cat(features, 1)))
    features.append(m.b(torch.cat(features, 1)))
    return torch.cat(features, 1)


def in_place_residual(m: nn.Module, x: Tensor) -> Tensor:
    y = m.conv(x)
    y += x
    y *= 2
    return y


def two(values: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return values[0], values[1]


@pytest.mark.parametrize("runs", [2, 3, 5])
@pytest.mark.parametrize("name", CASES)
def test_fused_runs_on_shared_images_equal_each_run_alone(name, runs):
    models, images = build(CASES[name], runs), random_images(1)
    fused = fuse(models)
    assert_trains_as_alone(models, fused, images, copies=1)
    assert_evaluates_as_alone(models, fused, images, copies=1)


@pytest.mark.parametrize(("runs", "copies"), [(3, 3), (4, 2)])
@pytest.mark.parametrize("name", CASES)
def test_fused_runs_on_batches_of_their_own_equal_each_run_alone(name, runs, copies):
    models, images = build(CASES[name], runs), random_images(copies)
    fused = fuse(models)
    assert_trains_as_alone(models, fused, images, copies)
    assert_evaluates_as_alone(models, fused, images, copies)
