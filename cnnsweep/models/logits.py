"""Logits in the output of a model: a tensor, a tuple, a dict or an object of tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from cnnsweep.errors import ModelError

_NAMES = ("logits", "out", "output", "outputs")  # tried before other names
_DEEPEST = 4  # depth of nested tuples and dicts


def logits_of(output: Any, classes: int) -> Tensor:
    """Return the logits (N, classes) in the output of a model.

    A single tensor is returned as it is. Among several, `logits`, `out` and `output` come first, then the others in
    their order; the first of the right shape is returned.

    Raises:
        ModelError: no tensor has the right shape.
    """
    if isinstance(output, Tensor):
        return output
    _, found = find_logits(output, classes)
    return found


class LogitsModel(nn.Module):
    """A model reduced to its logits."""

    def __init__(self, model: nn.Module, classes: int) -> None:
        super().__init__()
        self.model = model
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        return logits_of(self.model(images), self.classes)


@torch.no_grad()
def giving_logits(model: nn.Module, images: Tensor, classes: int) -> nn.Module:
    """Return a model in evaluation mode, wrapped if it does not return a single tensor."""
    model.eval()
    return model if isinstance(model(images), Tensor) else LogitsModel(model, classes)


def find_logits(output: Any, classes: int) -> tuple[str, Tensor]:
    """Return the name of the logits among several tensors, and the logits; see `logits_of`."""
    tensors = named_tensors(output)
    for name, tensor in tensors:
        if len(tensor.shape) == 2 and tensor.shape[1] == classes:
            return name, tensor
    found = ", ".join(f"{name} {_shape(tensor)}" for name, tensor in tensors) or "no tensor"
    raise ModelError(
        f"forward returned a {type(output).__name__} with {found}; it must hold one tensor of logits (batch, {classes})"
    )


def named_tensors(output: Any) -> list[tuple[str, Tensor]]:
    """Return the tensors in the output of a model with their names, the likeliest logits first."""
    tensors = list(_walk(output, "", 0))
    return sorted(tensors, key=lambda named: _rank(named[0]))  # stable: others stay in their order


def _walk(value: Any, name: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor | fx.Proxy):  # proxies replace tensors while a model is traced
        yield name, cast(Tensor, value)
    elif depth < _DEEPEST:
        for key, part in _parts(value):
            yield from _walk(part, f"{name}.{key}" if name else key, depth + 1)


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, tuple | list):
        return [(f"[{place}]", part) for place, part in enumerate(value)]
    return list(vars(value).items()) if hasattr(value, "__dict__") else []


def _rank(name: str) -> int:
    last = name.rpartition(".")[2]
    return _NAMES.index(last) if last in _NAMES else len(_NAMES)


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"
