"""The executors that the contract holds for: all of its tests run over each that is named here."""

from __future__ import annotations

from collections.abc import Callable

from cnnsweep.execution.base import Executor
from cnnsweep.execution.in_process import InProcessExecutor
from cnnsweep.execution.pool import PoolExecutor
from cnnsweep.execution.processes import ProcessFleet
from cnnsweep.planning.placement import Place
from cnnsweep.staff import Staff
from cnnsweep.training.feeding import TrainingTask

Open = Callable[[TrainingTask], Executor]


def two_processes(task: TrainingTask) -> Executor:
    return PoolExecutor(ProcessFleet([Place("cpu", 1)] * 2, task))


# All but the first are compared with the first.
EXECUTORS: dict[str, Open] = {"in-process": InProcessExecutor, "processes": two_processes}
STAFFS: dict[str, Staff] = {"processes": Staff(jobs=2, threads=1)}
