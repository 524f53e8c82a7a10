"""The executors that the contract holds for: all of its tests run over each that is named here."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ray_pools import two_ray_workers

from cnnsweep.executors.base import Executor
from cnnsweep.executors.inline import InProcessExecutor
from cnnsweep.executors.local_processes import LocalWorkers
from cnnsweep.executors.options import RAY, ExecutorOptions
from cnnsweep.executors.pool import PoolExecutor
from cnnsweep.planning.scheduling import Slot
from cnnsweep.training.data_module import DataModule

Open = Callable[[DataModule], Executor]


def two_processes(task: DataModule) -> Executor:
    return PoolExecutor(LocalWorkers([Slot("cpu", 1)] * 2, task))


EXECUTORS: dict[str, Open] = {"in-process": InProcessExecutor, "processes": two_processes, "ray": two_ray_workers}
STAFFS: dict[str, ExecutorOptions] = {
    "processes": ExecutorOptions(jobs=2, threads=1),
    "ray": ExecutorOptions(jobs=2, threads=1, executor=RAY),
}


def named(*names: str) -> list[object]:
    """Return names as parameters of tests; on Ray, most belong to its long suite."""
    return [pytest.param(name, marks=pytest.mark.ray) if name == "ray" else name for name in names]


ALL = named(*EXECUTORS)
ELSEWHERE = named(*STAFFS)  # these are compared with in-process
