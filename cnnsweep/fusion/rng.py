"""Separate random streams of K runs on a device's only generator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from cnnsweep.seeding import generator_of, seed_device


class RunGenerators:
    """K random streams on the default generator of a device: each run draws the same numbers as alone."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._states: list[int | Tensor] = []

    def seed(self, seeds: Sequence[int]) -> None:
        """Begin a step: each run's stream restarts from its seed."""
        self._states = list(seeds)

    @contextmanager
    def drawing_for(self, run: int) -> Iterator[None]:
        """Draw from the stream of one run inside this block."""
        if not self._states:  # evaluation draws no random numbers
            yield
            return
        state = self._states[run]
        if isinstance(state, int):
            seed_device(self._device, state)
        else:
            _set_state(self._device, state)
        yield
        self._states[run] = _get_state(self._device)


def _get_state(device: torch.device) -> Tensor:
    return torch.mps.get_rng_state() if device.type == "mps" else generator_of(device).get_state()


def _set_state(device: torch.device, state: Tensor) -> None:
    if device.type == "mps":
        torch.mps.set_rng_state(state)
    else:
        generator_of(device).set_state(state)
