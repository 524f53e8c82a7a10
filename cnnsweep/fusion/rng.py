"""Each run's own stream of random numbers, drawn from the device's one generator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from cnnsweep.seeding import seed_python


class RunGenerators:
    """Lets the default generator of a device stand in for K, so that each run draws what it would draw alone."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._states: list[int | Tensor] = []

    def seed(self, seeds: Sequence[int]) -> None:
        """Begin a step: each run's stream starts anew from its seed."""
        self._states = list(seeds)

    @contextmanager
    def drawing_for(self, run: int) -> Iterator[None]:
        """Draw from the stream of one run inside this block."""
        if not self._states:  # nothing is random in evaluation
            yield
            return
        state = self._states[run]
        if isinstance(state, int):
            seed_device(self._device, state)
        else:
            _set_state(self._device, state)
        yield
        self._states[run] = _get_state(self._device)


def seed_step(device: torch.device, seed: int) -> None:
    """Seed all that the Python code of a forward pass may draw from, wherever the model is."""
    seed_device(device, seed)
    if device.type != "cpu":
        torch.default_generator.manual_seed(seed)
    seed_python(seed)


def seed_device(device: torch.device, seed: int) -> None:
    """Seed the generator that a forward pass on this device draws from.

    `torch.manual_seed` would seed every device, which costs more than a small layer.
    """
    if device.type == "mps":  # its generator is behind functions
        torch.mps.manual_seed(seed)
    else:
        _generator(device).manual_seed(seed)


def _get_state(device: torch.device) -> Tensor:
    return torch.mps.get_rng_state() if device.type == "mps" else _generator(device).get_state()


def _set_state(device: torch.device, state: Tensor) -> None:
    if device.type == "mps":
        torch.mps.set_rng_state(state)
    else:
        _generator(device).set_state(state)


def _generator(device: torch.device) -> torch.Generator:
    return torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator
