"""Runs models fused and one by one, and compares every number of the two."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from cnnsweep.fusion.fused_module import FusedModel
from cnnsweep.seeding import seed_device

CPU = torch.device("cpu")
BATCH, CHANNELS, SIDE = 3, 4, 8
# float64, and sums in another order: a relative 2e-16 for each addition, of which there are at most some thousands.
TOLERANCE = 1e-10


class Forward(nn.Module):
    """A module whose forward is a function of it and its images; `parts` become its modules, parameters, attributes."""

    def __init__(self, function: Callable[[nn.Module, Tensor], Tensor], **parts: object) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def build(make: Callable[[], nn.Module], runs: int) -> list[nn.Module]:
    """Return models of one architecture, in float64 and channels-last, each with random values of its own."""
    models = []
    for seed in range(runs):
        torch.manual_seed(seed)
        model = channels_last(make().to(torch.float64))
        with torch.no_grad():
            for parameter in model.parameters():  # the ones and zeros that norms begin with would hide mistakes
                parameter.add_(0.1 * torch.randn_like(parameter))
        models.append(model)
    return models


def channels_last(model: nn.Module) -> nn.Module:
    """Lay out four-dimensional weights as training does; others cannot be."""
    return model.to(memory_format=torch.channels_last) if all(p.ndim < 5 for p in model.parameters()) else model


def random_images(copies: int, channels: int = CHANNELS, batch: int = BATCH, side: int = SIDE) -> Tensor:
    """Return images of several batches side by side in the channels."""
    random = torch.Generator().manual_seed(99)
    images = torch.randn(batch, copies * channels, side, side, generator=random, dtype=torch.float64)
    return images.contiguous(memory_format=torch.channels_last)


def fuse(models: Sequence[nn.Module], images: Tensor | None = None) -> FusedModel:
    """Fuse copies of models, tried out with other images of another number."""
    random = torch.Generator().manual_seed(7)
    shape = (2, CHANNELS, SIDE, SIDE) if images is None else (2, *images.shape[1:])
    example = torch.rand(shape, generator=random, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    return FusedModel(copy.deepcopy(list(models)), example)


def batch_of(images: Tensor, run: int, runs: int, copies: int) -> Tensor:
    """Return the batch that a run sees alone."""
    part = images.chunk(copies, 1)[run // (runs // copies)]
    return part.clone(memory_format=torch.channels_last)


def squares(outputs: Tensor) -> Tensor:
    """Return the sum of squares of the distances to fixed random numbers, equal for all runs."""
    random = torch.Generator().manual_seed(5)
    shape = outputs.shape
    aims = torch.randn(shape, generator=random, dtype=torch.float64)
    return ((outputs - aims) ** 2).sum()


def assert_near(actual: Tensor, expected: Tensor, what: str, scale: float | None = None) -> None:
    """Every element within the tolerance, absolute against `scale`: by default, the largest expected value."""
    assert actual.shape == expected.shape, f"{what}: {tuple(actual.shape)} instead of {tuple(expected.shape)}"
    assert actual.dtype == expected.dtype, f"{what}: {actual.dtype} instead of {expected.dtype}"
    if scale is None:
        scale = float(expected.abs().max()) if expected.numel() else 0.0
    torch.testing.assert_close(actual, expected, rtol=TOLERANCE, atol=TOLERANCE * scale, msg=lambda m: f"{what}: {m}")


def assert_trains_as_alone(
    models: Sequence[nn.Module], fused: FusedModel, images: Tensor, copies: int, seeds: Sequence[int] | None = None
) -> None:
    """One forward and backward in training mode: outputs, gradients and buffers."""
    runs = len(models)
    if seeds is not None:
        fused.generators.seed(seeds)
    outputs = fused(images.clone(memory_format=torch.channels_last), copies, training=True)
    trainable = outputs.requires_grad
    if trainable:
        sum(squares(of_run) for of_run in outputs).backward()
    for run, model in enumerate(models):
        model.train()
        if seeds is not None:
            seed_device(CPU, seeds[run])
        expected = model(batch_of(images, run, runs, copies))
        assert_near(outputs[run].detach(), expected.detach(), f"output of run {run}")
        assert expected.requires_grad is trainable
        if trainable:
            squares(expected).backward()
        trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
        assert fused.parameters.keys() == trained.keys()
        scale = max([float(g.abs().max()) for g in trained.values() if g is not None and g.numel()], default=0.0)
        for name, gradient in trained.items():
            stacked = fused.parameters[name].grad
            if gradient is None:
                assert stacked is None, f"{name} is not used, but has a gradient"
            else:
                assert stacked is not None, f"{name} has no gradient"
                assert_near(stacked[run], gradient, f"gradient of {name} of run {run}", scale)
        assert_same_state(fused, run, model)


def assert_same_state(fused: FusedModel, run: int, model: nn.Module) -> None:
    state = fused.state_of(run)
    assert list(state) == list(model.state_dict())
    for name, value in model.state_dict().items():
        assert_near(state[name], value, f"{name} of run {run}")


def assert_evaluates_as_alone(models: Sequence[nn.Module], fused: FusedModel, images: Tensor, copies: int) -> None:
    """One forward in evaluation mode."""
    with torch.no_grad():
        outputs = fused(images.clone(memory_format=torch.channels_last), copies, training=False)
        for run, model in enumerate(models):
            model.eval()
            expected = model(batch_of(images, run, len(models), copies))
            assert_near(outputs[run], expected, f"evaluated output of run {run}")
            assert_same_state(fused, run, model)
