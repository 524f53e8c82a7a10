"""The executors that the contract holds for: all of its tests run over each that is named here."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ray_pools import two_ray_workers

from cnnsweep.executors.base import Executor
from cnnsweep.executors.inline import InProcessExecutor
from cnnsweep.executors.local_processes import ProcessFleet
from cnnsweep.executors.options import RAY, Staff
from cnnsweep.executors.pool import PoolExecutor
from cnnsweep.planning.scheduling import Place
from cnnsweep.training.data_module import TrainingTask

Open = Callable[[TrainingTask], Executor]


def two_processes(task: TrainingTask) -> Executor:
    return PoolExecutor(ProcessFleet([Place("cpu", 1)] * 2, task))


EXECUTORS: dict[str, Open] = {"in-process": InProcessExecutor, "processes": two_processes, "ray": two_ray_workers}
STAFFS: dict[str, Staff] = {"processes": Staff(jobs=2, threads=1), "ray": Staff(jobs=2, threads=1, executor=RAY)}


def named(*names: str) -> list[object]:
    """Return names as parameters of tests; on Ray, most belong to its long suite."""
    return [pytest.param(name, marks=pytest.mark.ray) if name == "ray" else name for name in names]


ALL = named(*EXECUTORS)
ELSEWHERE = named(*STAFFS)  # these are compared with in-process
