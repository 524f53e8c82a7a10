"""Executors of this machine: `inline` trains in this process, `local` in several if requested or faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cnnsweep.errors import UsageError
from cnnsweep.executors.base import Executor, ExecutorConfig, ExecutorSetup
from cnnsweep.executors.options import AUTO
from cnnsweep.planning.scheduling import Job, Slot
from cnnsweep.types import RunGroup

if TYPE_CHECKING:
    import torch

    from cnnsweep.storage.state import SweepState


class Inline(ExecutorConfig, name="inline"):
    """This process, one group after the other."""

    def choose_slots(self, devices: Sequence[torch.device], history: SweepState) -> tuple[Slot, ...]:
        if self.jobs not in (AUTO, 1):
            raise UsageError(f"--jobs: found {self.jobs}, but the executor 'inline' trains one group at a time")
        return ExecutorConfig(jobs=1, threads=self.threads).choose_slots(devices, history)

    def make(self, setup: ExecutorSetup) -> Executor:
        from cnnsweep.executors.inline import InProcessExecutor

        return InProcessExecutor(setup.task, lockstep=setup.lockstep)


class Local(ExecutorConfig, name="local"):
    """This process, or worker processes: one for each GPU or job; on a CPU the number that is measured to be faster."""

    def make(self, setup: ExecutorSetup) -> Executor:
        from cnnsweep.executors.inline import InProcessExecutor
        from cnnsweep.executors.local_processes import LocalWorkers
        from cnnsweep.executors.pool import PoolExecutor

        if len(setup.slots) == 1:
            return InProcessExecutor(setup.task, lockstep=setup.lockstep)
        return PoolExecutor(LocalWorkers(setup.slots, setup.task), lockstep=setup.lockstep)

    def scale_out(
        self, setup: ExecutorSetup, jobs: Sequence[Job], foresee: Callable[[RunGroup, float], Job]
    ) -> Executor | None:
        from cnnsweep.executors.scale_out import faster_pool

        is_free = self.jobs == AUTO and self.threads is None and len(setup.slots) == 1
        return faster_pool(setup, jobs, foresee) if is_free else None
