"""A user's own loss: a function, a `torch.nn.Module`, or a class of them, with its arguments as fields.

`def fn(logits, targets, gamma=2.0)` and `class Fn(nn.Module)` with `forward(logits, targets)` are taken as they are:
neither needs to know this package, nor that runs train fused. An argument `reduction` is 'none' unless it is given.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any

from cnnsweep.errors import UsageError
from cnnsweep.seeding import kept_generators
from cnnsweep.signatures import Arguments, arguments_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    LossFunction = Callable[[Tensor, Tensor], Tensor]

GIVEN = 2  # the parameters that are not the user's to set: logits and targets
REDUCTION = "reduction"
_LOGARITHMS = ("NLLLoss", "nll_loss")  # of torch, whose inputs are log-probabilities


@dataclass(frozen=True, eq=False)
class OwnLoss:
    """The object of a reference.

    Attributes:
        value: a function of logits and targets, a class of modules, or a module.
    """

    value: Any

    @property
    def is_class(self) -> bool:
        """True if it is a class, of which each loss has an instance."""
        return isinstance(self.value, type)

    @property
    def is_of_torch(self) -> bool:
        """True for torch's own, whose lines are no user's."""
        return f"{getattr(self.value, '__module__', '')}".partition(".")[0] in ("torch", "torchvision")

    @property
    def code(self) -> Any:
        """The user's code, whose lines messages name; None for torch's."""
        return None if self.is_of_torch else self.value

    def arguments(self, about: str) -> Arguments:
        """Return its parameters after logits and targets, or those of a class's `__init__`.

        Args:
            about: what a message begins with.

        Raises:
            UsageError: it does not take logits and targets.
        """
        if not isinstance(self.value, type | FunctionType):
            return Arguments()
        if self.value.__name__ in _LOGARITHMS and self.is_of_torch:
            raise UsageError(f"{about}: is of log-probabilities; of logits it is cross_entropy")
        leading = 0 if self.is_class else GIVEN
        arguments = arguments_of(self.value, leading)
        if not arguments.can_take(leading):
            raise UsageError(
                f"{about}: takes {len(arguments.by_position)} arguments by position, allowed is a function of logits "
                "and targets, and further arguments with names"
            )
        if arguments.defaults.get(REDUCTION, inspect.Parameter.empty) is inspect.Parameter.empty:
            return arguments
        return replace(arguments, defaults={**arguments.defaults, REDUCTION: "none"})

    def made(
        self, arguments: Mapping[str, Any], device: torch.device, dtype: torch.dtype, *, training: bool
    ) -> LossFunction:
        """Return the function, or a module with its tensors on a device, in the precision of the logits."""
        from torch import nn

        if self.is_class:
            return _moved(self.value(**arguments), device, dtype).train(training)
        if isinstance(self.value, nn.Module):
            return _moved(copy.deepcopy(self.value), device, dtype).train(training)
        return partial(self.value, **arguments)


def is_own_loss(value: object) -> bool:
    """True for functions, modules, and classes of modules."""
    from torch import nn

    if isinstance(value, type):
        return issubclass(value, nn.Module)
    return callable(value)


def _moved(module: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Return a module with its buffers, and the tensors that are plain attributes, on a device."""
    for one in module.modules():
        attributes = vars(one)
        for name in [name for name in attributes if name not in ("_parameters", "_buffers", "_modules")]:
            attributes[name] = _with_tensors_moved(attributes[name], device, dtype)
    return module.to(device, dtype)


def _with_tensors_moved(value: Any, device: torch.device, dtype: torch.dtype) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return value.to(device, dtype if value.is_floating_point() else None)
    if type(value) in (list, tuple):
        return type(value)(_with_tensors_moved(one, device, dtype) for one in value)
    if type(value) is dict:
        return {key: _with_tensors_moved(one, device, dtype) for key, one in value.items()}
    return value


def made_of_lists(
    make: Callable[[Mapping[str, Any]], LossFunction], arguments: Mapping[str, Any], like: Tensor, *, several: bool
) -> LossFunction:
    """Return a loss whose lists of numbers are tensors, if it raises with lists.

    Raises:
        Exception: the user's code raised with both.
    """
    import torch

    as_tensors = _with_tensors(arguments, like)
    with torch.inference_mode(False), kept_generators(like.device):
        if as_tensors is None:
            return make(arguments)
        try:
            return _tried(make(arguments), like, several=several)
        except Exception as of_lists:
            try:
                return _tried(make(as_tensors), like, several=several)
            except Exception as of_tensors:
                raise (of_tensors if "list" in f"{of_lists}" else of_lists) from None


def _tried(call: LossFunction, like: Tensor, *, several: bool) -> LossFunction:
    import torch

    logits = torch.zeros(2, like.shape[-1], device=like.device, dtype=like.dtype)
    call(logits, logits.clone() if several else torch.zeros(2, device=like.device, dtype=torch.int64))
    return call


def _with_tensors(arguments: Mapping[str, Any], like: Tensor) -> dict[str, Any] | None:
    """Return arguments whose lists of numbers are tensors; None if there are no such lists."""
    import torch

    lists = {
        name: torch.tensor(value, dtype=like.dtype, device=like.device)
        for name, value in arguments.items()
        if isinstance(value, list | tuple) and value and all(isinstance(one, int | float) for one in value)
    }
    return {**arguments, **lists} if lists else None
