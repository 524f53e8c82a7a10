"""Scale-out: measure the speed of processes of one thread each against this process with all threads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from cnnsweep.executors.base import TASK, ExecutorSetup
from cnnsweep.executors.local_processes import LocalWorkers
from cnnsweep.executors.pool import PoolExecutor
from cnnsweep.planning.batching import family
from cnnsweep.planning.scheduling import CostModel, Job, Slot, last_end
from cnnsweep.training.autotune import guess_alone, seconds_alone
from cnnsweep.training.data_module import DataModule
from cnnsweep.training.failures import one_line
from cnnsweep.types import Run, RunGroup

_WORTH_TRYING_S = 120.0  # seconds; a shorter sweep would lose more by starting processes than it can gain
_LEAST_GAIN = 1.1  # required gain of processes: smaller gains may be noise
_MOSTLY = 0.8  # required share of a sweep's time in runs that train one by one
_SAMPLES = 5  # maximum number of batch keys to measure, if nothing is known
_GLANCE_S = 0.2  # maximum seconds of measuring such a run, or the minimum of one step
_BUDGET_SHARE = 0.01  # maximum share of a sweep's time for measuring in this process and in the workers


def faster_pool(
    setup: ExecutorSetup, jobs: Sequence[Job], foresee: Callable[[RunGroup, float], Job]
) -> PoolExecutor | None:
    """Return a pool of processes with one thread each, if it trains these groups faster than this process; else None.

    It is tried if runs train one by one on a CPU for long: fused groups divide the threads by themselves.

    Args:
        foresee: returns the job of a group, given the seconds of a step.
    """
    threads = torch.get_num_threads()
    if setup.task.device.type != "cpu" or threads < 2 or sys.platform == "win32":
        return None
    alone = [load for load in jobs if len(load.group.trajectories) == 1]
    if len(alone) < 2:
        return None
    pool = PoolExecutor(LocalWorkers([Slot("cpu", 1)] * threads, setup.task), lockstep=setup.lockstep)
    try:
        gain = _Comparison(setup.task, foresee).gain_of(pool, jobs, alone)
    except Exception as error:  # the model's own code raises: training reports it, one run at a time
        setup.info(f"the speed of several processes could not be measured ({one_line(error)})")
        gain = 0.0
    if gain < _LEAST_GAIN:
        pool.close()
        return None
    setup.info(f"{threads} processes of one thread each, {gain:.1f} times as fast as one of {threads}")
    torch.set_num_threads(1)
    return pool


@dataclass(frozen=True, slots=True)
class _Comparison:
    task: DataModule
    foresee: Callable[[RunGroup, float], Job]

    def gain_of(self, pool: PoolExecutor, jobs: Sequence[Job], alone: Sequence[Job]) -> float:
        """Return the speedup of a pool for runs that train alone; 0 if measuring it is not worth the time."""
        for measure in (guess_alone, partial(seconds_alone, budget_s=_GLANCE_S)):  # most sweeps are too short
            costs = CostModel([*jobs, *self._measured(alone, measure)])
            of_alone = [costs.of(load) for load in alone]
            if sum(of_alone) < max(_WORTH_TRYING_S, _MOSTLY * sum(map(costs.of, jobs))):
                return 0.0
        run = max(alone, key=costs.of).group.runs[0]
        budget = _BUDGET_SHARE * sum(of_alone)
        here = seconds_alone(run, self.task, budget)
        there = max(pool.call_everywhere(seconds_alone, run, TASK, budget))
        return sum(of_alone) * here / (last_end(of_alone, pool.slots) * there)

    def _measured(self, alone: Sequence[Job], measure: Callable[[Run, DataModule], float]) -> list[Job]:
        """Return jobs with measured seconds, a few of each batch key; none if some job has been measured already."""
        if any(load.seconds is not None for load in alone):
            return []
        kinds = list({family(load.group.runs[0]): load for load in alone}.values())
        some = kinds[:: -(-len(kinds) // _SAMPLES)]
        return [self.foresee(load.group, measure(load.group.runs[0], self.task)) for load in some]
