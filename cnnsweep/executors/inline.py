"""Training in this process, one group after the other: the default, also for a debugger."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import torch

from cnnsweep.executors.base import TASK, ExecutorCallback, R
from cnnsweep.executors.split_group import split
from cnnsweep.planning.scheduling import Job
from cnnsweep.training.data_module import DataModule
from cnnsweep.training.trainer import GroupError, train_group


class InProcessExecutor:
    """Trains groups one by one, in their order; see `Executor`.

    Args:
        lockstep: groups hold whole trials, also after a split.
    """

    slots = 1

    def __init__(self, task: DataModule, *, lockstep: bool = False) -> None:
        self._task = task
        self._lockstep = lockstep

    def call(self, function: Callable[..., R], *arguments: object) -> R:
        """See `Executor.call`."""
        return function(*(self._task if argument is TASK else argument for argument in arguments))

    def execute(self, jobs: Sequence[Job], callback: ExecutorCallback) -> None:
        """See `Executor.execute`."""
        waiting = deque(load.group for load in jobs)
        while waiting:
            group = waiting.popleft()
            checkpoints = callback.on_group_start(group)
            if checkpoints is None:
                return
            try:
                train_group(group, self._task, callback, checkpoints)
            except GroupError as error:
                parts = split(error.remaining, is_memory=error.is_memory, lockstep=self._lockstep)
                callback.on_group_split(parts, str(error))
            else:
                continue
            if self._task.device.type == "cuda":
                torch.cuda.empty_cache()  # the group's memory has other block sizes than its parts need
            waiting.extendleft(reversed(parts))

    def close(self) -> None:
        """Do nothing: there are no workers."""
