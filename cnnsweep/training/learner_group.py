"""The learners of a group: in turn, with all threads each, or in parallel, with one thread each.

Threads that share small layers wait for each other at the end of every operation; learners on their own threads
synchronise only at the end of an epoch. This excludes models that draw random numbers: all threads share one generator.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import torch
from torch import Tensor

from cnnsweep.training.learner import Learner
from cnnsweep.types import Run

Result = TypeVar("Result")


class LearnerGroup:
    """Learners of consecutive runs; positions count over all learners.

    Args:
        runs: the runs of each learner.
        build: returns the learner of the given runs.
        is_threaded: give each learner a CPU thread; otherwise they take turns, each with all threads. More learners
            than threads wait for a free one.

    Attributes:
        is_cancelled: another thread failed, or the user stops the sweep; every thread checks this before a step.
    """

    def __init__(
        self, runs: Sequence[Sequence[Run]], build: Callable[[Sequence[Run]], Learner], *, is_threaded: bool
    ) -> None:
        self._runs = [list(of_program) for of_program in runs]
        self._build = build
        self._programs = [build(of_program) for of_program in runs]
        self._threads = None
        self.is_cancelled = False
        if is_threaded:
            workers = min(len(runs), max(2, torch.get_num_threads()))
            self._threads = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))

    @property
    def is_threaded(self) -> bool:
        """True if the learners train in parallel, each on its own thread."""
        return self._threads is not None

    @property
    def parts(self) -> list[tuple[Learner, slice]]:
        """Every learner with the positions of its runs."""
        return list(zip(self._programs, self._slices(), strict=True))

    def map(self, call: Callable[[Learner, slice], Result]) -> list[Result]:
        """Call with every learner and the positions of its runs, in parallel or in turn; return the results in order.

        If one raises, or the user interrupts, the others are cancelled and joined.
        """
        if self._threads is None:
            return [call(program, part) for program, part in self.parts]
        calls = [self._threads.submit(call, program, part) for program, part in self.parts]
        try:
            done, _ = wait(calls, return_when=FIRST_EXCEPTION)
            self.is_cancelled = any(one.exception() for one in done)
        except BaseException:
            self.is_cancelled = True
            raise
        finally:
            wait(calls)
        for one in calls:  # the cause, not the cancelled threads
            if one in done:
                one.result()
        return [one.result() for one in calls]

    def weights(self, position: int) -> Mapping[str, Tensor]:
        """See `Learner`, as for the following."""
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
        programs, runs = [], []
        for program, of_program, part in zip(self._programs, self._runs, self._slices(), strict=True):
            own = [position - part.start for position in positions if part.start <= position < part.stop]
            if own:
                left = [of_program[position] for position in own]
                programs.append(self._kept(program, own, left) if len(left) < len(of_program) else program)
                runs.append(left)
        self._programs, self._runs = programs, runs

    def _kept(self, program: Learner, positions: Sequence[int], runs: Sequence[Run]) -> Learner:
        if len(runs) > 1:
            program.keep(positions)
            return program
        # The last one trains alone, as after an interruption: a group of one would differ in the last bits.
        alone = self._build(runs)
        alone.restore(0, program.weights(positions[0]), program.optimizer_state(positions[0]))
        return alone

    def _slices(self) -> list[slice]:
        sizes = [len(runs) for runs in self._runs]
        return [slice(*bounds) for bounds in itertools.pairwise([0, *itertools.accumulate(sizes)])]

    def _at(self, position: int) -> tuple[Learner, int]:
        number, part = next((n, part) for n, part in enumerate(self._slices()) if position < part.stop)
        return self._programs[number], position - part.start
