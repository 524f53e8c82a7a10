"""From a plain module to its graph of operations, or to the one line that says why there is none."""

from __future__ import annotations

import linecache
import random
import traceback
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import fx, nn

from cnnsweep.errors import FusionError

# In a node's `meta`: false inside `torch.no_grad()`, which the graph itself does not show.
HAS_GRADIENT = "has_gradient"

_FRAMEWORK = Path(torch.__file__).parent


class _Tracer(fx.Tracer):
    """Records buffers as it does parameters: each run has its own."""

    proxy_buffer_attributes = True

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        node.meta[HAS_GRADIENT] = torch.is_grad_enabled()
        return node


def trace(model: nn.Module) -> fx.Graph:
    """Return the graph of a model's forward pass in the mode, training or evaluation, that it is in.

    Raises:
        FusionError: its Python code depends on the values that pass through it, or cannot be recorded otherwise.
    """
    if model._forward_hooks or model._forward_pre_hooks:
        raise FusionError("its forward cannot be traced: it has hooks")
    before, attributes = _random_states(), _attributes(model)
    try:
        with torch.enable_grad():
            graph = _Tracer().trace(model)
    except Exception as error:  # whatever a person's forward does with the stand-ins for tensors
        raise FusionError(f"its forward cannot be traced: {_one_line(error)}{_place(error)}") from error
    finally:
        set_by_forward = _put_back(attributes)
    if set_by_forward:  # the graph does not show it
        raise FusionError(f"its forward cannot be traced: it sets the attribute '{set_by_forward[0]}'")
    if _random_states() != before:  # what was drawn would stay the same in every step
        raise FusionError("its forward cannot be traced: it draws random numbers in Python code")
    return graph


def _attributes(model: nn.Module) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return every module's dictionaries of attributes, buffers and parameters, each with a copy."""
    modules = [(vars(m), m._buffers, m._parameters) for m in model.modules()]
    return [(found, dict(found)) for dictionaries in modules for found in dictionaries]


def _put_back(attributes: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[str]:
    """Undo what a forward pass set, and return its names."""
    names = []
    for found, before in attributes:
        for name in [*found.keys() | before.keys()]:
            if found.get(name) is before.get(name) or name.startswith("_tensor_constant"):
                continue
            names.append(name)
            if name in before:
                found[name] = before[name]
            else:
                del found[name]
    return sorted(names)


def _random_states() -> tuple[Any, ...]:
    numbers = numpy.random.get_state(legacy=False)  # a person's code may draw from it
    return torch.default_generator.get_state().tolist(), random.getstate(), str(numbers)


def _one_line(error: BaseException) -> str:
    if isinstance(error, fx.proxy.TraceError) and "control flow" in str(error):
        return "its Python code depends on the values of tensors"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place(error: BaseException) -> str:
    """Return the line of the person's code, or of a library's model, that could not be traced."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not Path(f.filename).is_relative_to(_FRAMEWORK)]
    if not frames or frames[-1].filename == __file__:
        return ""
    line = linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip()
    return f", at {Path(frames[-1].filename).name}:{frames[-1].lineno}: {line}"
