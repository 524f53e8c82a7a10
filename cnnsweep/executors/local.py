"""Executors of this machine: `inline` trains in this process, `local` in several where that is wanted or faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cnnsweep.errors import UsageError
from cnnsweep.executors.base import Executor, ExecutorConfig, ExecutorSetup
from cnnsweep.executors.options import AUTO
from cnnsweep.planning.scheduling import Load, Place
from cnnsweep.types import RunGroup

if TYPE_CHECKING:
    import torch

    from cnnsweep.storage.state import SweepHistory


class Inline(ExecutorConfig, name="inline"):
    """This process, one group after the other."""

    def choose_places(self, devices: Sequence[torch.device], history: SweepHistory) -> tuple[Place, ...]:
        if self.jobs not in (AUTO, 1):
            raise UsageError(f"--jobs: found {self.jobs}, but the executor 'inline' trains one group at a time")
        return ExecutorConfig(jobs=1, threads=self.threads).choose_places(devices, history)

    def make(self, setup: ExecutorSetup) -> Executor:
        from cnnsweep.executors.inline import InProcessExecutor

        return InProcessExecutor(setup.task, in_step=setup.in_step)


class Local(ExecutorConfig, name="local"):
    """This process, or worker processes: one for each GPU or job, on a CPU as many as are measured to be faster."""

    def make(self, setup: ExecutorSetup) -> Executor:
        from cnnsweep.executors.inline import InProcessExecutor
        from cnnsweep.executors.local_processes import ProcessFleet
        from cnnsweep.executors.pool import PoolExecutor

        if len(setup.places) == 1:
            return InProcessExecutor(setup.task, in_step=setup.in_step)
        return PoolExecutor(ProcessFleet(setup.places, setup.task), in_step=setup.in_step)

    def scale_out(
        self, setup: ExecutorSetup, loads: Sequence[Load], foresee: Callable[[RunGroup, float], Load]
    ) -> Executor | None:
        from cnnsweep.executors.scale_out import faster_pool

        is_free = self.jobs == AUTO and self.threads is None and len(setup.places) == 1
        return faster_pool(setup, loads, foresee) if is_free else None
