"""Attributes of a model's modules, saved before a forward pass and restored after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import torch
from torch import nn


class Attributes:
    """Snapshot of all modules' attributes, buffers and parameters."""

    def __init__(self, model: nn.Module) -> None:
        homes: list[dict[str, Any]] = []
        for module in model.modules():
            if isinstance(module, torch.jit.ScriptModule):  # its forward is not Python
                continue
            homes += [vars(module), module._buffers, module._parameters]
        self._before = [(home, dict(home)) for home in homes]
        self._contents = [(home, name, value, _parts(value)) for home in homes for name, value in _containers(home)]
        self._set: list[tuple[dict[str, Any], str]] = []

    def put_back(self) -> list[str]:
        """Undo the assignments of a forward pass, and return their names."""
        self._set = []
        for home, name, value, parts in self._contents:
            now = _parts(value)
            if len(now) != len(parts) or any(a is not b for a, b in zip(now, parts, strict=True)):
                self._set.append((home, name))
                _fill(value, parts)
        for home, before in self._before:
            for name in [*home.keys() | before.keys()]:
                if home.get(name) is before.get(name) or name.startswith("_tensor_constant"):
                    continue
                self._set.append((home, name))
                if name in before:
                    home[name] = before[name]
                else:
                    del home[name]
        return sorted(name for _, name in self._set)

    def forget(self) -> None:
        """Replace the attributes that the previous forward pass set by unusable placeholders."""
        for home, name in self._set:
            home[name] = _Unset()


class _Unset:
    """Placeholder for an attribute whose previous value must have no influence."""

    def _refuse(self, *_: Any) -> NoReturn:
        raise LookupError("an attribute is read before it is set")

    __bool__ = __eq__ = __len__ = __iter__ = __call__ = __getattr__ = __getitem__ = _refuse
    __hash__ = object.__hash__


def _containers(home: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield containers that a forward may fill; names that begin with an underscore are torch's."""
    for name, value in home.items():
        if type(value) in (list, dict, set) and not name.startswith("_"):
            yield name, value


def _parts(value: Any) -> list[Any]:
    return [part for pair in value.items() for part in pair] if isinstance(value, dict) else list(value)


def _fill(value: Any, parts: list[Any]) -> None:
    value.clear()
    if isinstance(value, list):
        value.extend(parts)
    else:
        value.update(zip(parts[::2], parts[1::2], strict=True) if isinstance(value, dict) else parts)
