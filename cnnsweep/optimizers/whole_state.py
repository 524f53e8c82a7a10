"""What the steps of any torch optimizer need beyond those of torch's own: other people's may do more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn, optim


def parameters_of(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return parameters that share the memory of tensors; some optimizers leave out what requires no gradient."""
    return [one if isinstance(one, nn.Parameter) else nn.Parameter(one) for one in tensors]


def keep_slices(parameters: Sequence[Tensor], slices: Sequence[Tensor]) -> None:
    """Put new values into the slices that a model reads, where an optimizer gave a parameter new memory instead."""
    for parameter, own in zip(parameters, slices, strict=True):
        if parameter is not own and parameter.data_ptr() != own.data_ptr():
            own.copy_(parameter.detach())
            parameter.data = own


def switch_modes(optimizer: optim.Optimizer, is_training: bool) -> None:
    """Call an optimizer's `train` or `eval`, if it has both."""
    methods = getattr(optimizer, "train", None), getattr(optimizer, "eval", None)
    if all(map(callable, methods)):
        # In inference mode it would make tensors that no later step may change.
        with torch.inference_mode(False), torch.no_grad():
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
