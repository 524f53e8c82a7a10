"""From a plain module to its graph of operations, or to the one line that says why there is none."""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path

import torch
from torch import fx, nn

from cnnsweep.errors import FusionError

_FRAMEWORK = Path(torch.__file__).parent


class _Tracer(fx.Tracer):
    """Records buffers as it does parameters: each run has its own."""

    proxy_buffer_attributes = True


def trace(model: nn.Module) -> fx.Graph:
    """Return the graph of a model's forward pass in the mode, training or evaluation, that it is in.

    Raises:
        FusionError: its Python code depends on the values that pass through it, or cannot be recorded otherwise.
    """
    try:
        return _Tracer().trace(model)
    except Exception as error:  # whatever a person's forward does with the stand-ins for tensors
        raise FusionError(f"its forward cannot be traced: {_one_line(error)}{_place(error)}") from error


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
