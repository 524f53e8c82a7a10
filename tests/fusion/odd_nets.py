"""Small networks of one habit each, as people write them; each maps (N, 3, 8, 8) to 5 logits or to what holds them."""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

CLASSES = 5


class Net(nn.Module):
    """A convolution before, a mean over the pixels and a linear layer after what a subclass does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.fc = nn.Linear(8, CLASSES)
        self.build()

    def build(self) -> None:
        """Make further layers."""

    def middle(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Any:
        return self.fc(self.middle(self.conv(x)).mean((2, 3)))


class AddsInPlace(Net):
    def build(self):
        self.body = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, padding=1))

    def middle(self, x):
        out = self.body(x)
        out += x
        return F.relu(out, inplace=True)


class JoinsViews(Net):
    def middle(self, x):
        return torch.cat([x[:, :4], x[:, 4:].flip(1)], 1)


class FunctionalDropout(Net):
    def middle(self, x):
        return F.dropout(x, 0.3, training=self.training)


class ChoosesByName(Net):
    def build(self):
        self.parts = nn.ModuleDict({"a": nn.Conv2d(8, 8, 1), "b": nn.Conv2d(8, 8, 3, padding=1)})
        self.order = ["b", "a"]

    def middle(self, x):
        for name in self.order:
            x = self.parts[name](x).relu()
        return x


class TakesAnyArguments(Net):
    def forward(self, *args, **kwargs):
        return super().forward(args[0], **kwargs)


class HasOtherArguments(Net):
    def forward(self, x, mask=None, scale: float = 1.0, return_features=False):
        features = self.conv(x)
        if mask is not None:
            features = features * mask
        features = features.mean((2, 3)) * scale
        return features if return_features else self.fc(features)


class HookedPart(Net):
    def build(self):
        self.conv.register_forward_hook(lambda *call: call[2] * 2)


class WeightNorm(Net):
    def build(self):
        self.second = parametrizations.weight_norm(nn.Conv2d(8, 8, 3))

    def middle(self, x):
        return self.second(x)


class WeightStandardised(nn.Conv2d):
    def forward(self, x):
        w = self.weight
        mean = w.mean(dim=(1, 2, 3), keepdim=True)
        std = w.view(w.size(0), -1).std(dim=1).view(-1, 1, 1, 1) + 1e-5
        return F.conv2d(x, (w - mean) / std.expand_as(w), self.bias, self.stride, self.padding)


class OwnConvolution(Net):
    def build(self):
        self.second = WeightStandardised(8, 8, 3)

    def middle(self, x):
        return self.second(x)


class Einsum(Net):
    def build(self):
        self.mix = nn.Parameter(torch.randn(8, 8) / 3)

    def middle(self, x):
        return torch.einsum("nchw,cd->ndhw", x, self.mix)


class Chunks(Net):
    def build(self):
        self.parts = nn.ModuleList(nn.Conv2d(2, 2, 3, padding=1) for _ in range(4))

    def middle(self, x):
        return torch.cat([conv(part) for conv, part in zip(self.parts, x.chunk(4, dim=1), strict=True)], dim=1)


class LoopsOverParts(Net):
    def middle(self, x):
        total = 0
        for place, part in enumerate(torch.split(x, 2, dim=1)):
            total = total + part * (place + 1)
        return total.repeat(1, 4, 1, 1)


class SplitsBySize(Net):
    def middle(self, x):
        kept = int(x.size(1) * 0.25)
        first, second = torch.split(x, [kept, x.size(1) - kept], dim=1)
        return torch.cat([second, first.relu()], 1)


class ShufflesChannels(Net):
    groups = 2

    def middle(self, x):
        n, c, h, w = x.size()
        each = int(c / self.groups)
        return x.view(n, self.groups, each, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


class ComputesWithShapes(Net):
    def middle(self, x):
        c = x.shape[1]
        side = math.ceil(x.size(2) / 3)
        scale = 1.0 / math.sqrt(float(c))
        for _ in range(x.size(1) // 4):
            x = x * scale
        if x.shape[-1] > 4 and x.dim() == 4:
            x = F.adaptive_avg_pool2d(x, side)
        return x


class AssertsShapes(Net):
    def middle(self, x):
        b, c, h, w = x.shape
        assert h == w, f"not square: {h}×{w}"
        assert x.shape == (b, c, h, w), x.shape
        assert tuple(x.shape[1:]) == (c, h, w)
        y = self.conv.weight
        assert y.shape[0] == c
        return x.permute(0, 2, 3, 1).reshape(b, h * w, c).transpose(1, 2).reshape(b, c, h, w)


class ComparesShapes(Net):
    def middle(self, x):
        y = F.max_pool2d(x, 3, 1, 1)
        if x.shape != y.shape:
            y = F.interpolate(y, size=x.shape[2:])
        return x + y


class ReturnsSeveral(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x):
        return self.a(x), {"b": self.b(x)}


class HasPartsOfSeveral(Net):
    def build(self):
        self.part = ReturnsSeveral()

    def middle(self, x):
        first, others = self.part(x)
        return first * others["b"].sigmoid()


class ConstantBuffers(Net):
    def build(self):
        self.register_buffer("mask", torch.rand(8, 8) > 0.3)
        self.register_buffer("shift", torch.randn(8, 1, 1), persistent=False)
        self.register_buffer("nothing", None)
        self.register_buffer("order", torch.randperm(8))
        self.register_buffer("far", torch.tensor([0.0, -math.inf]))
        self.register_buffer("empty", torch.empty(0, 3))

    def middle(self, x):
        return torch.where(self.mask, x, torch.zeros_like(x))[:, self.order] + self.shift + self.far[0]


class Switches(Net):
    def build(self):
        self.use_relu, self.mode = True, "max"
        self.shortcut = nn.Identity()

    def middle(self, x):
        x = self.shortcut(x)
        if self.use_relu and self.mode in ("max", "mean"):
            x = nn.ReLU(True)(x)
        pooled = F.max_pool2d(x, 2) if self.mode == "max" else F.avg_pool2d(x, 2)
        return pooled if self.training else pooled * 1.0


class Upsamples(Net):
    def middle(self, x):
        return F.interpolate(F.avg_pool2d(x, 2), size=x.shape[2:], mode="bilinear", align_corners=False)


class ShufflesPixels(Net):
    def middle(self, x):
        return F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2)


class GroupNorm(Net):
    def build(self):
        self.norm = nn.GroupNorm(4, 8)

    def middle(self, x):
        return self.norm(x)


class LayerNormLast(Net):
    def build(self):
        self.norm = nn.LayerNorm(8)

    def middle(self, x):
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Attends(Net):
    def build(self):
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def middle(self, x):
        n, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        tokens, _ = self.attention(tokens, tokens, tokens)
        return tokens.transpose(1, 2).reshape(n, c, h, w)


class ClassToken(Net):
    def build(self):
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

    def forward(self, x):
        tokens = self.conv(x).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.token.expand(x.shape[0], -1, -1), tokens), dim=1)
        return self.fc(self.layer(tokens)[:, 0])


class Unfolds(Net):
    def middle(self, x):
        n, c, h, w = x.shape
        return F.unfold(x, 3, padding=1).view(n, c, 9, h, w).mean(2)


class Checkpoints(Net):
    def build(self):
        self.second = nn.Conv2d(8, 8, 3, padding=1)

    def middle(self, x):
        x = checkpoint(self.second, x, use_reentrant=False)
        return checkpoint(lambda y: self.second(y).relu(), x, use_reentrant=True) if self.training else self.second(x)


class Scripted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


class HasScriptedPart(Net):
    def build(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is old, and everywhere
            self.swish = torch.jit.script(Scripted())

    def middle(self, x):
        return self.swish(x)


class ScriptedLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class HasScriptedLayer(Net):
    def build(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.layer = torch.jit.script(ScriptedLayer())

    def middle(self, x):
        return self.layer(x)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")

    class Gated(torch.jit.ScriptModule):
        """A block that is skipped at random, in code that PyTorch compiles."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 3, padding=1)
            self.norm = nn.BatchNorm2d(8)

        def is_kept(self):
            return torch.equal(torch.bernoulli(torch.tensor(0.5)), torch.tensor(1.0))

        @torch.jit.script_method
        def forward(self, x):
            if self.training and not self.is_kept():
                return x
            return x + self.norm(self.conv(x))


class HasScriptedGates(Net):
    def build(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.blocks = nn.Sequential(*[Gated() for _ in range(3)])

    def middle(self, x):
        return self.blocks(x)


class MomentumOfNone(Net):
    def build(self):
        self.norm = nn.BatchNorm2d(8, momentum=None)

    def middle(self, x):
        return self.norm(x)


class InstanceNormThatTracks(Net):
    def build(self):
        self.norm = nn.InstanceNorm2d(8, affine=True, track_running_stats=True)

    def middle(self, x):
        return self.norm(x)


class CountsInPlace(Net):
    def build(self):
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def middle(self, x):
        if self.training:
            self.steps.add_(1)
        return x / (1 + self.steps)


class CountsByAssignment(Net):
    def build(self):
        self.register_buffer("steps", torch.zeros(()))

    def middle(self, x):
        self.steps = self.steps + 1
        return x / self.steps


class CountsInPython(Net):
    steps = 0

    def middle(self, x):
        self.steps += 1
        return x / self.steps


class CalledTwice(Net):
    def build(self):
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))

    def middle(self, x):
        return self.second(self.second(x).relu())


class KeepsFeatures(Net):
    features = None

    def middle(self, x):
        self.features = x.relu()
        self.size = tuple(x.shape[2:])
        return F.adaptive_avg_pool2d(self.features, (self.size[0] // 2, self.size[1]))


class KeepsTheFirst(Net):
    first = None

    def middle(self, x):
        if self.first is None:
            self.first = x.detach().mean()
        return x - self.first


class FillsAList(Net):
    def build(self):
        self.seen = []

    def middle(self, x):
        self.seen.append(x.detach().mean())
        return x - self.seen[0]


class Mish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return gradient * (s + x * s * (1 - s))


class OwnGradient(Net):
    def middle(self, x):
        return Mish.apply(x)


class PadsShortcut(Net):
    def build(self):
        self.wide = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.fc = nn.Linear(12, CLASSES)

    def middle(self, x):
        y = self.wide(x)
        return y + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, (y.size(1) - x.size(1))))


class PadsWithZeros(Net):
    def middle(self, x):
        zeros = torch.zeros(x.size(0), 8, x.size(2), x.size(3), dtype=x.dtype, device=x.device)
        return (x + zeros)[:, :8]


class ShuffledBatch(Net):
    def middle(self, x):
        noise = torch.randn(x.size(0), 1, 1, 1, dtype=x.dtype, device=x.device)
        return x + noise * 0.1 if self.training else x


class SetsItems(Net):
    def middle(self, x):
        x = x.clone()
        x[:, 0] = 0
        x[:, 1:3, 2] = x[:, 3:5, 3]
        return x


class AsksForBatch(Net):
    def middle(self, x):
        return x * 2 if x.size(0) > 2 else x


class FreezesBatch(Net):
    def middle(self, x):
        return x / int(x.size(0))


class BranchesOnValues(Net):
    def middle(self, x):
        return x if x.mean() > 100 else x * 2


class OwnForward(Net):
    def __init__(self):
        super().__init__()
        self.forward = self.other

    def other(self, x):
        return self.fc(self.conv(x).amax((2, 3)))


class HalfFrozen(Net):
    def build(self):
        self.conv.requires_grad_(False)
        self.second = nn.Conv2d(8, 8, 1)

    def middle(self, x):
        with torch.no_grad():
            x = x.relu()
        return self.second(x)


class SharedWeights(Net):
    def build(self):
        self.a, self.b = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.b.weight = self.a.weight

    def middle(self, x):
        return self.b(self.a(x))


class PlainFunction(Net):
    def middle(self, x):
        return _normalised(x, dims=(2, 3))


def _normalised(x, dims):
    mean, var = x.mean(dims, keepdim=True), x.var(dims, keepdim=True, unbiased=False)
    return (x - mean) / torch.sqrt(var + 1e-5)


class Tuple(Net):
    def forward(self, x):
        features = self.conv(x).mean((2, 3))
        return self.fc(features), features


class FeaturesFirst(Net):
    def forward(self, x):
        features = self.conv(x).mean((2, 3))
        return features, self.fc(features)


class Dictionary(Net):
    def forward(self, x):
        features = self.conv(x).mean((2, 3))
        return OrderedDict(features=features, aux=2 * self.fc(features), logits=self.fc(features))


Outputs = namedtuple("Outputs", ["logits", "aux"])


class AuxiliaryInTraining(Net):
    def forward(self, x):
        logits = super().forward(x)
        return Outputs(logits, self.fc(x.mean((2, 3)).repeat(1, 3)[:, :8])) if self.training else logits


@dataclass
class Output:
    loss: Any
    logits: Tensor


class OutputObject(Net):
    def forward(self, x):
        return Output(None, super().forward(x))


class NestedOutput(Net):
    def forward(self, x):
        logits = super().forward(x)
        return {"loss": None, "out": [logits, (logits * 2,)]}


class AsksForTensors(Net):
    def middle(self, x):
        assert isinstance(x, Tensor)
        parts = [x] if isinstance(x, (torch.Tensor, nn.Module)) else x
        return torch.cat(parts, 1)
