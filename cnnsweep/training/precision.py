"""Number types of a sweep: `fp32`, `bf16` (mixed: weights stay float32) or `fp64`."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def weight_dtype(precision: str) -> torch.dtype:
    """Return the type of weights, buffers and images."""
    return torch.float64 if precision == "fp64" else torch.float32


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Return the context of a forward pass."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def sum_dtype(device: torch.device) -> torch.dtype:
    """Return the type of sums over many images."""
    return torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
