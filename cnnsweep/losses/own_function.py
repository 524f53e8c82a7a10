"""A user's own function as a loss: its parameters, and the proof that it takes stacked runs.

`def fn(logits, targets, gamma=2.0)` returns one value an image for (N, classes) logits of one run. For K runs at once
it is called with (K, N, classes), if that gives for each what it gives alone, in values and gradients; otherwise run by
run. So it need not know that runs train fused.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from types import FunctionType
from typing import TYPE_CHECKING, Any

from cnnsweep.errors import UsageError
from cnnsweep.seeding import kept_generators

if TYPE_CHECKING:
    from torch import Tensor

    LossFunction = Callable[[Tensor, Tensor], Tensor]

GIVEN = 2  # the parameters that are not the user's to set: logits and targets
PROOF_IMAGES = (4, 7)  # one of them differs from the number of classes
_RUNS = 3
_TOLERANCE = 1e-9  # in float64 the two differ by rounding alone
_TOLERANCE_FP32 = 1e-4  # for devices without float64


def further_parameters(function: FunctionType, taken: Collection[str]) -> tuple[dict[str, Any], bool]:
    """Return the parameters after logits and targets as fields for pydantic, and whether any other name will do.

    Args:
        taken: names that no parameter can have.

    Raises:
        UsageError: it does not take logits and targets, or a parameter has such a name.
    """
    parameters = list(inspect.signature(function).parameters.values())
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    place = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}: loss {function.__name__}"
    if len(positional) < GIVEN and not any(one.kind is one.VAR_POSITIONAL for one in parameters):
        raise UsageError(
            f"{place}: takes {len(positional)} arguments by position, allowed is a function of logits and targets, "
            "and further arguments with names"
        )
    further = [*positional[GIVEN:], *(one for one in parameters if one.kind is one.KEYWORD_ONLY)]
    for name in (one.name for one in further if one.name in taken or one.name.startswith("_")):
        raise UsageError(f"{place}: the parameter '{name}' needs another name; this one has a meaning here")
    fields = {one.name: (Any, ... if one.default is one.empty else one.default) for one in further}
    return fields, any(one.kind is one.VAR_KEYWORD for one in parameters)


def holds_for_runs(call: LossFunction, like: Tensor, images: int, *, several: bool) -> bool:
    """Return whether a function gives for stacked runs what it gives for each, on random values.

    Args:
        like: logits, for the device and the number of classes.
        several: with several labels an image.
    """
    import torch

    device, classes = like.device, like.shape[-1]
    random = torch.Generator().manual_seed(0)
    shape = (_RUNS, images, classes)
    precision = torch.float32 if device.type == "mps" else torch.float64
    logits = torch.randn(shape, generator=random, dtype=torch.float64).to(device, precision)
    labels = torch.randint(0, 2 if several else classes, shape if several else shape[:2], generator=random).to(device)
    factors = torch.rand(shape[:2], generator=random, dtype=torch.float64).to(device, precision)
    targets = labels.to(precision) if several else labels
    as_in_training = torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False)
    with ExitStack() as stack:
        for context in (*as_in_training, kept_generators(device)):
            stack.enter_context(context)
        try:
            together = _value_and_gradient(call, logits, targets, factors)
            alone = [_value_and_gradient(call, *one) for one in zip(logits, targets, factors, strict=True)]
        except Exception:  # the function decides what it raises; alone it has been tried before
            return False
    return all(map(_are_alike, together, map(torch.stack, zip(*alone, strict=True))))


def _value_and_gradient(function: LossFunction, logits: Tensor, targets: Tensor, factors: Tensor) -> Sequence[Tensor]:
    import torch

    leaf = logits.clone().requires_grad_()
    value = function(leaf * 1, targets.clone())  # not a leaf, as in training
    if value.shape != factors.shape:
        raise ValueError(f"{tuple(value.shape)}")
    return value.detach(), *torch.autograd.grad((value * factors).sum(), leaf)


def _are_alike(found: Tensor, expected: Tensor) -> bool:
    import torch

    tolerance = _TOLERANCE_FP32 if found.dtype is torch.float32 else _TOLERANCE
    return torch.allclose(found, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()))
