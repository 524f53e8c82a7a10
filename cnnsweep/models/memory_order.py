"""Which order in memory a model's images and filters have: channels-last, which is faster, or torch's usual one.

The two give the same numbers, unless a person's code looks at how values lie in memory: `view` refuses what does not
lie as it expects, `as_strided` takes other elements. So both orders are tried on two images, and a model that shows
which one it has keeps the usual one, everywhere. What is found depends on nothing but the model: a worker, a resume and
an evaluation find the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree  # nested outputs; torch has no public name for it

from cnnsweep.fusion.forms import changes_in_place, is_random
from cnnsweep.fusion.generators import seed_step
from cnnsweep.randomness import kept_generators

FAST, USUAL = torch.channels_last, torch.contiguous_format
# Of the largest output, and of the largest gradient. In float32, rounding is 1e-6 to 1e-4; what is above is looked at
# in float64, where it is some 1e-14. Other elements than those that were meant make a difference as large as they are.
_TOLERANCE, _TOLERANCE_FP64 = 1e-3, 1e-6
_TOLERANCE_FP32_ALONE = 1e-2  # of a model that float64 does not suit
_CPU = torch.device("cpu")


def in_order(
    model: nn.Module, order: torch.memory_format, device: torch.device, dtype: torch.dtype | None = None
) -> nn.Module:
    """Return a model on a device, its filters in this order."""
    moved: nn.Module = model.to(device, dtype, memory_format=order)  # type: ignore[call-overload]  # torch's stub lacks device with memory_format
    return moved


@dataclass(frozen=True, slots=True)
class Found:
    """What two images have shown of a model.

    Attributes:
        order: in memory, for it and its images.
        is_repeatable: equal seeds give equal numbers; False for one that draws where no seed reaches.
    """

    order: torch.memory_format
    is_repeatable: bool = True


def try_orders(build: Callable[[], nn.Module], image_shape: tuple[int, int, int], device: torch.device) -> Found:
    """Train on two images and evaluate them, in both orders.

    A model that works in neither gets torch's usual one, so that its error is the one that torch gives.

    Args:
        build: makes the model on the CPU, with the same weights each time.
        image_shape: (C, H, W).
    """

    def figures(order: torch.memory_format, where: torch.device, dtype: torch.dtype) -> _Figures:
        return _try(in_order(build(), order, where, dtype), image_shape, order, where, dtype)

    with kept_generators(device):
        try:
            fast = figures(FAST, device, torch.float32)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception:  # whatever a person's code raises
            return Found(USUAL, _is_repeatable(lambda: figures(USUAL, device, torch.float32)))
        try:
            usual = figures(USUAL, device, torch.float32)
        except Exception:
            return Found(FAST)  # it has been written for this order
        if _are_near(fast, usual, _TOLERANCE):
            return Found(FAST)
        return _look_closer(lambda order, dtype: figures(order, _CPU, dtype))


def _is_repeatable(figures: Callable[[], _Figures]) -> bool:
    try:
        return _are_near(figures(), figures(), _TOLERANCE)
    except Exception:  # the check of the model says what it is
        return True


def _look_closer(figures: Callable[[torch.memory_format, torch.dtype], _Figures]) -> Found:
    """Compare without rounding, and with random numbers that do not depend on the order."""
    for dtype, tolerance in ((torch.float64, _TOLERANCE_FP64), (torch.float32, _TOLERANCE_FP32_ALONE)):
        try:
            with _DrawnInOneOrder():
                usual = figures(USUAL, dtype)
                if _are_near(figures(FAST, dtype), usual, tolerance):
                    return Found(FAST)
                return Found(USUAL, _are_near(figures(USUAL, dtype), usual, tolerance))
        except Exception:  # such as a type that it cannot take
            continue
    return Found(USUAL)


_Figures = list[list[Tensor]]  # outputs in training, gradients, outputs in evaluation


def _try(
    model: nn.Module,
    image_shape: tuple[int, int, int],
    order: torch.memory_format,
    device: torch.device,
    dtype: torch.dtype,
) -> _Figures:
    """Take a step with two images, without moving weights, and evaluate them."""
    images = torch.rand(2, *image_shape, generator=torch.Generator().manual_seed(0))
    images = images.to(device, dtype).clone(memory_format=order)
    seed_step(device, 0)
    trained = _tensors(model.train()(images.clone()))
    differentiable = [tensor for tensor in trained if tensor.requires_grad]
    if differentiable:
        sum((tensor * _spread(tensor)).sum() for tensor in differentiable).backward()  # type: ignore[union-attr]  # at least one
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    with torch.no_grad():
        evaluated = _tensors(model.eval()(images))
    return [[tensor.detach() for tensor in tensors] for tensors in (trained, gradients, evaluated)]


def _tensors(output: object) -> list[Tensor]:
    """Return the floating-point tensors in what a model returns."""
    leaves = pytree.tree_leaves(output)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _spread(tensor: Tensor) -> Tensor:
    """Return a weight for each element, all different, so that no gradient is zero because a sum never changes."""
    return torch.linspace(-1, 1, tensor.numel(), device=tensor.device, dtype=tensor.dtype).reshape(tensor.shape).exp()


def _are_near(first: _Figures, second: _Figures, tolerance: float) -> bool:
    """Compare every element, allowing `tolerance` of the largest one of its kind: some are zero but for rounding."""
    for mine, theirs in zip(first, second, strict=True):
        if [tensor.shape for tensor in mine] != [tensor.shape for tensor in theirs]:
            return False
        largest = max((float(tensor.abs().max()) for tensor in theirs if tensor.numel()), default=0.0)
        for one, other in zip(mine, theirs, strict=True):
            if not torch.allclose(one, other, rtol=0, atol=tolerance * largest, equal_nan=True):
                return False
    return True


class _DrawnInOneOrder(TorchFunctionMode):
    """Lets equal elements get equal random numbers in whichever order they lie; they are drawn in that of memory."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not is_random(func) or not args or not isinstance(args[0], Tensor):
            return func(*args, **kwargs)
        drawn = func(args[0].clone(memory_format=USUAL), *args[1:], **kwargs)
        if changes_in_place(func, args, kwargs):
            return args[0].copy_(drawn)
        return torch.empty_like(args[0], dtype=drawn.dtype).copy_(drawn) if drawn.shape == args[0].shape else drawn
