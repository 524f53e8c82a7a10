"""Several programs side by side as one, each on one thread of the CPU.

Where layers are small, two threads that share every operation wait for each other at the end of each; two programs on a
thread each do not. What draws random numbers cannot be trained so: all threads draw from one generator.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

import torch
from torch import Tensor

from cnnsweep.training.program import Program

Result = TypeVar("Result")


class ThreadedProgram:
    """Programs of consecutive runs, each on a thread of its own.

    Args:
        programs: of some runs each, in the order of the runs.
        sizes: of how many.
    """

    def __init__(self, programs: Sequence[Program], sizes: Sequence[int]) -> None:
        self._programs = list(programs)
        self._sizes = list(sizes)
        self._threads = ThreadPoolExecutor(len(programs), initializer=torch.set_num_threads, initargs=(1,))

    def train_step(
        self, images: Tensor, labels: Tensor, rates: Sequence[float], seeds: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        runs, copies = sum(self._sizes), len(labels)

        def step(program: Program, start: int, end: int) -> tuple[Tensor, Tensor]:
            seen = [run * copies // runs for run in range(start, end)]
            own = seen[:: math.gcd(*(len(list(same)) for _, same in itertools.groupby(seen)))]
            return program.train_step(_copies(images, own, copies), labels[own], rates[start:end], seeds[start:end])

        return _joined(self._on_threads(step))

    def measure(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return _joined(
            self._on_threads(lambda program, _, __: program.measure(images.clone(), labels))  # a model may change them
        )

    def weights(self, position: int) -> Mapping[str, Tensor]:
        program, own = self._at(position)
        return program.weights(own)

    def gradients(self, position: int) -> Mapping[str, Tensor]:
        program, own = self._at(position)
        return program.gradients(own)

    def optimizer_state(self, position: int) -> Mapping[str, Any]:
        program, own = self._at(position)
        return program.optimizer_state(own)

    def restore(self, position: int, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any]) -> None:
        program, own = self._at(position)
        program.restore(own, weights, optimizer)

    def keep(self, positions: Sequence[int]) -> None:
        kept = []
        for program, (start, end) in zip(self._programs, self._bounds(), strict=True):
            own = [position - start for position in positions if start <= position < end]
            if own and len(own) < end - start:
                program.keep(own)
            if own:
                kept.append((program, len(own)))
        self._programs, self._sizes = [program for program, _ in kept], [size for _, size in kept]

    def _on_threads(self, call: Callable[[Program, int, int], Result]) -> list[Result]:
        """Call for every program with the bounds of its runs; wait for all, whatever one raises."""
        calls = [
            self._threads.submit(call, program, start, end)
            for program, (start, end) in zip(self._programs, self._bounds(), strict=True)
        ]
        wait(calls)
        return [one.result() for one in calls]

    def _bounds(self) -> list[tuple[int, int]]:
        return list(itertools.pairwise([0, *itertools.accumulate(self._sizes)]))

    def _at(self, position: int) -> tuple[Program, int]:
        number, start = next((n, s) for n, (s, end) in enumerate(self._bounds()) if position < end)
        return self._programs[number], position - start


def _copies(images: Tensor, wanted: Sequence[int], copies: int) -> Tensor:
    """Return some of the copies (N, G·C, H, W), for one program alone: a model may change its images in place."""
    chosen = (
        images if list(wanted) == list(range(copies)) else images.unflatten(1, (copies, -1))[:, wanted].flatten(1, 2)
    )
    return chosen.clone(memory_format=torch.channels_last)


def _joined(results: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    losses, correct = zip(*results, strict=True)
    return torch.cat(losses), torch.cat(correct)
