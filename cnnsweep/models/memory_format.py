"""Choice of the memory format of a custom model by trying two images before training.

Channels-last, which is faster, and torch's usual format give the same numbers, unless user code depends on strides:
`view` rejects other strides, `as_strided` reads other elements. So both formats are tried on two images, and a model
with different results keeps the usual format everywhere. The choice depends only on the model, so workers, resumed
sweeps and evaluations choose alike.

Other properties of the model come from the same passes, since each takes as long as a step of training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree  # nested outputs; torch has no public name for it

from cnnsweep.models.operations import changes_in_place, is_random
from cnnsweep.seeding import kept_generators, seed_step

FAST, USUAL = torch.channels_last, torch.contiguous_format
# Relative to the largest output, and to the largest gradient. In float32, rounding is 1e-6 to 1e-4; larger differences
# are compared in float64, where rounding is about 1e-14. Wrong elements make a difference as large as their values.
_TOLERANCE, _TOLERANCE_FP64 = 1e-3, 1e-6
_TOLERANCE_FP32_ALONE = 1e-2  # for a model that does not work in float64
_CPU = torch.device("cpu")


def in_order(
    model: nn.Module, order: torch.memory_format, device: torch.device, dtype: torch.dtype | None = None
) -> nn.Module:
    """Return a model on a device, in this memory format."""
    moved: nn.Module = model.to(device, dtype, memory_format=order)  # type: ignore[call-overload]  # torch's stub lacks device with memory_format
    return moved


@dataclass(frozen=True, slots=True)
class Found:
    """Properties of a model, found with two images.

    Attributes:
        order: memory format of the model and its images.
        is_repeatable: equal seeds give equal numbers; False if some random numbers have no seed.
        parameters: their number; None if it failed in training or in evaluation.
        gives_logits: its outputs are a single tensor, not the result of a softmax, ReLU or similar layer.
    """

    order: torch.memory_format
    is_repeatable: bool = True
    parameters: int | None = None
    gives_logits: bool = False


def try_orders(
    build: Callable[[], nn.Module],
    image_shape: tuple[int, int, int],
    device: torch.device,
    judge: Callable[[object], bool] = lambda _: False,
) -> Found:
    """Train on two images and evaluate them, in both formats.

    A model that fails in both gets torch's usual one, for torch's own error.

    Args:
        build: returns the model on the CPU, with the same weights each time.
        image_shape: (C, H, W).
        judge: predicate on the output: true for logits; raises if it cannot be trained on.
    """
    trial = _Trial(build, image_shape, judge)
    with kept_generators(device):
        try:
            fast = trial.figures(FAST, device)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception:  # any exception of user code
            return Found(USUAL, _is_repeatable(lambda: trial.figures(USUAL, device)))
        try:
            usual = trial.figures(USUAL, device)
        except Exception:
            return trial.found(FAST)  # the code was written for this order
        return trial.found(FAST) if _are_near(fast, usual, _TOLERANCE) else _look_closer(trial)


def _is_repeatable(figures: Callable[[], _Figures]) -> bool:
    try:
        return _are_near(figures(), figures(), _TOLERANCE)
    except Exception:  # the model's check reports it
        return True


def _look_closer(trial: _Trial) -> Found:
    """Compare without rounding, and with random numbers that do not depend on the order."""
    for dtype, tolerance in ((torch.float64, _TOLERANCE_FP64), (torch.float32, _TOLERANCE_FP32_ALONE)):
        try:
            with _DrawnInOneOrder():
                usual = trial.figures(USUAL, _CPU, dtype)
                if _are_near(trial.figures(FAST, _CPU, dtype), usual, tolerance):
                    return trial.found(FAST)
                return trial.found(USUAL, _are_near(trial.figures(USUAL, _CPU, dtype), usual, tolerance))
        except Exception:  # such as an unsupported type
            continue
    return trial.found(USUAL)


_Figures = list[list[Tensor]]  # outputs in training, gradients, outputs in evaluation


class _Trial:
    """Passes of a model with two images, and the properties found in them."""

    def __init__(
        self, build: Callable[[], nn.Module], image_shape: tuple[int, int, int], judge: Callable[[object], bool]
    ) -> None:
        self._build, self._judge = build, judge
        self._images = torch.rand(2, *image_shape, generator=torch.Generator().manual_seed(0))
        self._parameters = 0
        self._gives_logits = True

    def figures(self, order: torch.memory_format, device: torch.device, dtype: torch.dtype = torch.float32) -> _Figures:
        """Run forward and backward on the images, without updating weights, and evaluate them."""
        model = in_order(self._build(), order, device, dtype)
        images = self._images.to(device, dtype).clone(memory_format=order)
        seed_step(device, 0)
        trained = self._judged(model.train()(images.clone()))
        differentiable = [tensor for tensor in trained if tensor.requires_grad]
        if differentiable:
            sum((tensor * _spread(tensor)).sum() for tensor in differentiable).backward()  # type: ignore[union-attr]  # at least one
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        with torch.no_grad():
            evaluated = self._judged(model.eval()(images))
        self._parameters = sum(p.numel() for p in model.parameters())
        return [[tensor.detach() for tensor in tensors] for tensors in (trained, gradients, evaluated)]

    def _judged(self, output: object) -> list[Tensor]:
        """Return the floating-point tensors of an output."""
        self._gives_logits &= self._judge(output)
        leaves = pytree.tree_leaves(output)
        return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]

    def found(self, order: torch.memory_format, is_repeatable: bool = True) -> Found:
        """Return the properties after a successful pass."""
        return Found(order, is_repeatable, self._parameters, self._gives_logits)


def _spread(tensor: Tensor) -> Tensor:
    """Return a different weight for each element, so that no gradient is zero because a sum is constant."""
    return torch.linspace(-1, 1, tensor.numel(), device=tensor.device, dtype=tensor.dtype).reshape(tensor.shape).exp()


def _are_near(first: _Figures, second: _Figures, tolerance: float) -> bool:
    """Compare every element with a tolerance relative to the largest of its tensor: some are zero up to rounding."""
    for mine, theirs in zip(first, second, strict=True):
        if [tensor.shape for tensor in mine] != [tensor.shape for tensor in theirs]:
            return False
        largest = max((float(tensor.abs().max()) for tensor in theirs if tensor.numel()), default=0.0)
        for one, other in zip(mine, theirs, strict=True):
            if not torch.allclose(one, other, rtol=0, atol=tolerance * largest, equal_nan=True):
                return False
    return True


class _DrawnInOneOrder(TorchFunctionMode):
    """Mode in which random numbers do not depend on the memory format; torch draws them in the order of memory."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not is_random(func) or not args or not isinstance(args[0], Tensor):
            return func(*args, **kwargs)
        drawn = func(args[0].clone(memory_format=USUAL), *args[1:], **kwargs)
        if changes_in_place(func, args, kwargs):
            return args[0].copy_(drawn)
        return torch.empty_like(args[0], dtype=drawn.dtype).copy_(drawn) if drawn.shape == args[0].shape else drawn
