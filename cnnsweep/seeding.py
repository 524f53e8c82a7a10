"""Stateless randomness: every random draw follows from (run seed, purpose, and if needed epoch and step).

So initial weights, batch order, dropout and augmentation are the same for a run alone, fused with others, in another
process or after a resume. No generator state is ever saved.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014), in signed numbers.
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)


def derive_seed(seed: int, purpose: str, *counters: int) -> int:
    """Return a seed in [0, 2**63) that depends on every argument."""
    text = ":".join([str(seed), purpose, *map(str, counters)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, purpose: str, *counters: int) -> torch.Generator:
    """Return a fresh CPU generator for one purpose."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, purpose, *counters))


def new_generator(device: torch.device, seed: int) -> torch.Generator:
    """Return a fresh generator on a device."""
    import torch

    return torch.Generator(device).manual_seed(seed)


def seed_python(seed: int) -> None:
    """Seed the generators outside torch that user code may use: Python's own, and NumPy's global one."""
    import numpy

    random.seed(seed)
    numpy.random.seed(seed & 0xFFFF_FFFF)  # it accepts 32 bits


def seed_step(device: torch.device, seed: int) -> None:
    """Seed every generator that the Python code of a forward pass may use, on any device."""
    import torch

    seed_device(device, seed)
    if device.type != "cpu":
        torch.default_generator.manual_seed(seed)
    seed_python(seed)


def seed_device(device: torch.device, seed: int) -> None:
    """Seed the generator that a forward pass on this device uses.

    `torch.manual_seed` would seed every device, which costs more than a small layer.
    """
    import torch

    if device.type == "mps":  # its generator is behind functions
        torch.mps.manual_seed(seed)
    else:
        generator_of(device).manual_seed(seed)


def generator_of(device: torch.device) -> torch.Generator:
    """Return the default generator of the CPU or of a CUDA device."""
    import torch

    return torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator


@contextmanager
def kept_generators(device: torch.device | None = None) -> Iterator[None]:
    """Restore every generator afterwards: torch's for the CPU and a device, Python's own, NumPy's global one."""
    import numpy
    import torch

    of_python, of_numpy = random.getstate(), numpy.random.get_state(legacy=False)
    try:
        with torch.random.fork_rng(devices=[device] if device is not None and device.type == "cuda" else []):
            yield
    finally:
        random.setstate(of_python)
        numpy.random.set_state(of_numpy)


def uniform_per_item(seed: int, purpose: str, epoch: int, items: Tensor, draws: int) -> Tensor:
    """Draw numbers that depend on each item's own index, not on its batch.

    Args:
        items: (N,) int64, for example the images' positions in the data set.
        draws: number of draws per item.

    Returns:
        (N, draws) float32 in [0, 1), on the device of `items`.
    """
    import torch

    base = derive_seed(seed, purpose, epoch)
    counters = items[:, None] * draws + torch.arange(draws, device=items.device)  # (N, draws)
    state = base + counters * _GOLDEN  # int64 arithmetic wraps, as the algorithm requires
    state = (state ^ _shift_right(state, 30)) * _MIX_1
    state = (state ^ _shift_right(state, 27)) * _MIX_2
    state = state ^ _shift_right(state, 31)
    return _shift_right(state, 40).to(torch.float32) * 2.0**-24  # the top 24 bits: exact in float32


def _shift_right(values: Tensor, bits: int) -> Tensor:
    """Shift as if the numbers were unsigned; torch's `>>` copies the sign bit down."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)
