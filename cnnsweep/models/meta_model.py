"""State dict of a model without memory, so that a file cannot request a billion tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as registration
from torch.overrides import TorchFunctionMode

from cnnsweep.errors import ModelError
from cnnsweep.models.build import build_model
from cnnsweep.types import ModelChoice


def build_meta_model(
    choice: ModelChoice, image_shape: tuple[int, int, int], num_classes: int, most_parts: int
) -> Mapping[str, Tensor]:
    """Return the state dict of a model on torch's meta device, where tensors have a shape and no memory.

    Args:
        most_parts: limit of modules, parameters and buffers.

    Raises:
        ModelError: it cannot be built, or has more parts.
    """
    with torch.device("meta"), _SmallValues(), _at_most(most_parts, choice.name):
        meta_model: Mapping[str, Tensor] = build_model(choice, image_shape, num_classes).state_dict()
        return meta_model


class _SmallValues(TorchFunctionMode):
    """Mode in which some functions compute on the CPU instead of the meta device: RegNets need their values."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return func(*args, **({**kwargs, "device": "cpu"} if func in (torch.arange, torch.tensor) else kwargs))


@contextmanager
def _at_most(parts: int, name: str) -> Iterator[None]:
    """Raise as soon as a module under construction exceeds this number of parts."""
    count = 0

    def count_part(_owner: nn.Module, _name: str, part: Any) -> Any:
        nonlocal count
        count += 1
        if count > parts:
            raise ModelError(f"model {name}: has more than {parts:,} parts")
        return part.to("meta") if type(part) is Tensor else part  # a buffer that was computed from small values

    hooks = [
        registration.register_module_module_registration_hook(count_part),
        registration.register_module_parameter_registration_hook(count_part),
        registration.register_module_buffer_registration_hook(count_part),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
