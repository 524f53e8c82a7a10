"""The programs of a group: one that uses all threads, or several side by side, each on one thread of the CPU.

Where layers are small, threads that share every operation wait for each other at the end of each; programs on a thread
of their own meet at the end of an epoch only. What draws random numbers cannot be trained so: all threads draw from one
generator.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import torch
from torch import Tensor

from cnnsweep.training.program import Program

Result = TypeVar("Result")


class Programs:
    """Programs of consecutive runs; a position counts the runs of all.

    Args:
        programs: of some runs each, in the order of the runs.
        sizes: of how many.
        is_threaded: give each a thread; otherwise there is one.
    """

    def __init__(self, programs: Sequence[Program], sizes: Sequence[int], *, is_threaded: bool) -> None:
        assert is_threaded or len(programs) == 1
        self._programs = list(programs)
        self._sizes = list(sizes)
        self._threads = None
        self.is_cancelled = False  # what is on a thread looks here, and stops
        if is_threaded:
            self._threads = ThreadPoolExecutor(len(programs), initializer=torch.set_num_threads, initargs=(1,))

    def on_each(self, call: Callable[[Program, slice], Result]) -> list[Result]:
        """Call with every program and the positions of its runs, side by side; return the results in order.

        When one raises, or a person interrupts, the others are cancelled and waited for.
        """
        parts = list(zip(self._programs, self._slices(), strict=True))
        if self._threads is None:
            return [call(program, part) for program, part in parts]
        calls = [self._threads.submit(call, program, part) for program, part in parts]
        try:
            done, _ = wait(calls, return_when=FIRST_EXCEPTION)
            self.is_cancelled = any(one.exception() for one in done)
        except BaseException:
            self.is_cancelled = True
            raise
        finally:
            wait(calls)
        for one in calls:  # the cause, not what was cancelled because of it
            if one in done:
                one.result()
        return [one.result() for one in calls]

    def weights(self, position: int) -> Mapping[str, Tensor]:
        """See `Program`, as for the following."""
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
        for program, part in zip(self._programs, self._slices(), strict=True):
            own = [position - part.start for position in positions if part.start <= position < part.stop]
            if own and len(own) < part.stop - part.start:
                program.keep(own)
            if own:
                kept.append((program, len(own)))
        self._programs, self._sizes = [program for program, _ in kept], [size for _, size in kept]

    def _slices(self) -> list[slice]:
        return [slice(*bounds) for bounds in itertools.pairwise([0, *itertools.accumulate(self._sizes)])]

    def _at(self, position: int) -> tuple[Program, int]:
        number, part = next((n, part) for n, part in enumerate(self._slices()) if position < part.stop)
        return self._programs[number], position - part.start
