"""Weights and state around the steps of users' own optimizers, which may do more than torch's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn, optim


def parameters_of(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return contiguous parameters that share the memory of tensors where they can.

    Some optimizers leave out what requires no gradient, and some read weights in another shape, for which those in
    channels-last order have to be copied.
    """
    return [
        one if isinstance(one, nn.Parameter) and one.is_contiguous() else nn.Parameter(one.contiguous())
        for one in tensors
    ]


def read_weights(parameters: Sequence[Tensor], weights: Sequence[Tensor]) -> None:
    """Copy a model's weights into parameters with memory of their own."""
    for parameter, weight in _apart(parameters, weights):
        parameter.detach().copy_(weight)


def write_weights(parameters: Sequence[Tensor], weights: Sequence[Tensor]) -> None:
    """Copy parameters with memory of their own into a model's weights; an optimizer may have given them some."""
    for parameter, weight in _apart(parameters, weights):
        weight.copy_(parameter.detach())


def _apart(parameters: Sequence[Tensor], weights: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    for parameter, weight in zip(parameters, weights, strict=True):
        if parameter is not weight and parameter.data_ptr() != weight.data_ptr():
            yield parameter, weight.detach()


def switch_modes(optimizer: optim.Optimizer, is_training: bool) -> None:
    """Call an optimizer's `train` or `eval`, if it has both."""
    methods = getattr(optimizer, "train", None), getattr(optimizer, "eval", None)
    if all(map(callable, methods)):
        methods[0 if is_training else 1]()  # type: ignore[misc]


def keep_number_types(optimizer: optim.Optimizer, saved: Mapping[str, Any]) -> None:
    """Give loaded state its number types back: torch loads it in those of the parameters, which rounds otherwise."""
    ordered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, values in saved.get("state", {}).items():
        own = optimizer.state[ordered[number]] if isinstance(number, int) and number < len(ordered) else {}
        for name, value in values.items() if isinstance(values, Mapping) else ():
            loaded = own.get(name)
            if isinstance(value, Tensor) and isinstance(loaded, Tensor) and loaded.dtype != value.dtype:
                own[name] = value.detach().to(loaded.device, copy=True)
