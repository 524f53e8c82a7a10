"""A user's own function as a loss: `def fn(logits, targets, gamma=2.0)`, one value an image.

It is called with (N, classes) logits of one run. For K runs at once it is called with (K, N, classes), if that gives
for each what it gives alone, in values and gradients; otherwise run by run. So it need not know that runs train fused.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict, create_model

from cnnsweep.errors import UsageError
from cnnsweep.losses.loss import Loss, in_full_precision
from cnnsweep.seeding import kept_generators

if TYPE_CHECKING:
    from torch import Tensor

GIVEN = 2  # the parameters that are not the user's to set: logits and targets
_RUNS, _IMAGES = 3, (4, 7)  # of the proof; one number of images differs from any number of classes
_TOLERANCE = 1e-9  # in float64 the two differ by rounding alone
_TOLERANCE_FP32 = 1e-4  # for devices without float64
_proven: dict[tuple[object, ...], bool] = {}


class FunctionLoss(Loss):
    """Base of losses of a function; its fields are the function's further parameters."""

    model_config = ConfigDict(protected_namespaces=())
    function: ClassVar[Callable[..., Any]]

    def per_example(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return what the function returns for each example (..., N).

        It gets logits of float32 or float64, and targets (..., N) int64, or of several labels (..., N, classes) of the
        logits' type.
        """
        import torch

        scores = in_full_precision(logits)
        if scores.ndim == GIVEN or self._takes_runs(scores, targets):
            return self.call(scores, targets)
        return torch.stack([self.call(*of_run) for of_run in zip(scores, targets, strict=True)])

    def call(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Call the function with the arguments of the sweep file."""
        value: Tensor = type(self).function(logits, targets, **dict(self))
        return value

    def _takes_runs(self, logits: Tensor, targets: Tensor) -> bool:
        several = targets.ndim == logits.ndim
        key = (type(self), repr(dict(self)), logits.shape[-1], several, logits.device)
        if key not in _proven:
            _proven[key] = all(holds_for_runs(self, logits, images, several=several) for images in _IMAGES)
        return _proven[key]


class _OpenFunctionLoss(FunctionLoss):
    """Base of losses of a function with `**further`."""

    model_config = ConfigDict(extra="allow")


def holds_for_runs(loss: FunctionLoss, like: Tensor, images: int, *, several: bool) -> bool:
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
            together = _value_and_gradient(loss.call, logits, targets, factors)
            alone = [_value_and_gradient(loss.call, *one) for one in zip(logits, targets, factors, strict=True)]
        except Exception:  # the function decides what it raises; alone it has been tried before
            return False
    return all(map(_are_alike, together, map(torch.stack, zip(*alone, strict=True))))


def _value_and_gradient(
    function: Callable[[Tensor, Tensor], Tensor], logits: Tensor, targets: Tensor, factors: Tensor
) -> Sequence[Tensor]:
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


@cache
def loss_of_function(function: FunctionType, reference: str) -> type[Loss]:
    """Return the class of losses of a function.

    Raises:
        UsageError: it does not take logits and targets, or a parameter has a name that is not possible here.
    """
    parameters = list(inspect.signature(function).parameters.values())
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    takes_any = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    place = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
    if len(positional) < GIVEN and not takes_any:
        raise UsageError(
            f"{place}: loss {function.__name__}: takes {len(positional)} arguments by position, allowed is a function "
            "of logits and targets, and further arguments with names"
        )
    further = [*positional[GIVEN:], *(one for one in parameters if one.kind is one.KEYWORD_ONLY)]
    fields: dict[str, Any] = {}
    for one in further:
        if one.name.startswith("_") or hasattr(FunctionLoss, one.name):
            raise UsageError(f"{place}: loss {function.__name__}: the parameter '{one.name}' needs another name")
        fields[one.name] = (Any, ... if one.default is one.empty else one.default)
    base = _OpenFunctionLoss if any(one.kind is one.VAR_KEYWORD for one in parameters) else FunctionLoss
    made: type[FunctionLoss] = create_model(reference.rpartition(":")[2], __base__=base, **fields)
    made.function = function
    return made
