"""Who trains a sweep: this process, several of this machine, or a Ray cluster."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch

from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import model_names
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.errors import UsageError
from cnnsweep.executors.base import TASK, Executor
from cnnsweep.executors.inline import InProcessExecutor
from cnnsweep.executors.local_processes import ProcessFleet
from cnnsweep.executors.options import AUTO, LOCAL, RAY, Staff
from cnnsweep.executors.pool import PoolExecutor
from cnnsweep.executors.ray_options import ClusterWish, NodeData
from cnnsweep.planning.batching import family
from cnnsweep.planning.scheduling import Costs, Load, Place, last_end
from cnnsweep.storage.state import SweepHistory
from cnnsweep.training.autotune import guess_alone, seconds_alone
from cnnsweep.training.data_module import TrainingTask
from cnnsweep.training.devices import choose_devices, describe_device
from cnnsweep.training.failures import one_line
from cnnsweep.types import Run, RunGroup

if TYPE_CHECKING:
    from cnnsweep.executors.ray_backend import RayFleet

_WORTH_TRYING_S = 120.0  # a sweep shorter than this would lose more to the start of processes than it may gain
_LEAST_GAIN = 1.1  # processes must be this much faster: below, noise may have decided
_MOSTLY = 0.8  # of a sweep's time goes into runs that train one by one
_SAMPLES = 5  # kinds of runs of which a step is measured, where nothing is known
_GLANCE_S = 0.2  # of measuring such a run, at most, or the least that a step takes
_BUDGET_SHARE = 0.01  # of a sweep's time goes into measuring, here and there


def choose_places(devices: Sequence[torch.device], staff: Staff, history: SweepHistory) -> tuple[Place, ...]:
    """Return where groups train; of a cluster, what is known of it before it is joined.

    A resumed sweep has as many places as it had, unless a person says how many, and as many threads at each: sums
    depend on how many threads share them, and it shall equal an uninterrupted one bit for bit.

    Raises:
        UsageError: there are more devices than jobs.
    """
    under = history.groups[-1].conditions if history.groups else history.sweep or {}
    places_before, threads_before = under.get("places", 1), under.get("threads")
    jobs = max(places_before, len(devices)) if staff.jobs == AUTO else staff.jobs
    assert isinstance(jobs, int)
    if jobs < (count := len(devices)):
        raise UsageError(f"--jobs: found {jobs}, but {count} devices are to be used: give {count}, or fewer devices")
    threads = staff.threads or (threads_before if jobs == places_before else None)
    if threads is None:
        threads = 1 if staff.executor == RAY else max(1, torch.get_num_threads() // jobs)
    return tuple(Place(str(devices[number % len(devices)]), threads) for number in range(jobs))


def choose_sweep_devices(wish: str, staff: Staff) -> tuple[torch.device, ...]:
    """Return which devices of this machine are used: where a cluster trains, one for what little is done here.

    Raises:
        UsageError: see `choose_devices`; or of a cluster, certain devices are asked for.
    """
    if staff.executor != RAY:
        devices = choose_devices(wish)
        return devices[: staff.jobs] if wish == "auto" and isinstance(staff.jobs, int) else devices
    if wish not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device: found '{wish}', allowed are auto, cpu and cuda: the cluster says which GPU is free")
    return choose_devices("cpu" if wish == "cpu" else "auto")[:1]


def wish_for_cluster(
    spec: SweepSpec, runs: Sequence[Run], dataset: Dataset, staff: Staff, threads: int, history: SweepHistory
) -> ClusterWish | None:
    """Return what a sweep wants of a cluster; None if it trains on this machine.

    Args:
        threads: of each worker.
    """
    if staff.executor != RAY:
        return None
    choice = spec.dataset_choice
    folder = staff.node_data
    return ClusterWish(
        address=staff.address,
        jobs=staff.jobs if isinstance(staff.jobs, int) else None,
        places=history.groups[-1].conditions.get("places", 1) if history.groups else None,
        threads=threads,
        device=spec.device,
        code=(*model_names(spec, runs), *([] if folder is None else [choice.name])),
        node_data=None if folder is None else NodeData(choice, folder, dataset.fingerprint),
    )


def describe_places(places: Sequence[Place]) -> str:
    """Return where groups train, in a person's words."""
    if len(places) == 1:
        return describe_device(torch.device(places[0].device))
    counts = Counter(places)
    if len({place.device for place in places}) == 1 and places[0].device == "cpu":
        threads = places[0].threads
        return f"cpu ({len(places)} processes of {threads} thread{'s' if threads != 1 else ''})"
    return ", ".join(f"{count} × {place.device}" if count > 1 else place.device for place, count in counts.items())


class Workforce:
    """Makes the executor of a sweep, and a larger one where that turns out to be faster.

    Attributes:
        executor: who trains now.
        description: who trains, in words, where they were not chosen on this machine.
    """

    def __init__(
        self,
        staff: Staff,
        places: Sequence[Place],
        task: TrainingTask,
        *,
        in_step: bool,
        tell: Callable[[str], None],
        cluster: ClusterWish | None = None,
    ) -> None:
        self._task = task
        self._in_step = in_step
        self._tell = tell
        self._may_grow = staff.jobs == AUTO and staff.threads is None and staff.executor == LOCAL
        self.executor: Executor = InProcessExecutor(task, in_step=in_step)
        self.description: str | None = None
        if cluster is not None:
            fleet = _ray_fleet(task, cluster, tell)
            self.description = fleet.description
            self.executor = PoolExecutor(fleet, in_step=in_step)
        elif len(places) > 1:
            self.executor = PoolExecutor(ProcessFleet(places, task), in_step=in_step)

    def grow_for(self, loads: Sequence[Load], foresee: Callable[[RunGroup, float], Load]) -> bool:
        """Have processes with a thread each take over, if they train these groups faster; return whether they do.

        It is asked once, and tried where runs train one by one on a CPU, and for long: programs of several runs divide
        the threads themselves.

        Args:
            foresee: from the seconds of a run's step to what its group takes.
        """
        threads = torch.get_num_threads()
        may_grow, self._may_grow = self._may_grow and isinstance(self.executor, InProcessExecutor), False
        if not may_grow or self._task.device.type != "cpu" or threads < 2 or sys.platform == "win32":
            return False
        alone = [load for load in loads if len(load.group.trajectories) == 1]
        if len(alone) < 2:
            return False
        pool = PoolExecutor(ProcessFleet([Place("cpu", 1)] * threads, self._task), in_step=self._in_step)
        try:
            gain = self._gain_of(pool, loads, alone, foresee)
        except Exception as error:  # the model's own code raises: training tells the story, one run at a time
            self._tell(f"whether several processes are faster could not be measured ({one_line(error)})")
            gain = 0.0
        if gain < _LEAST_GAIN:
            pool.close()
            return False
        self._tell(f"{threads} processes of one thread each, {gain:.1f} times as fast as one of {threads}")
        torch.set_num_threads(1)
        self.executor = pool
        return True

    def _gain_of(
        self,
        pool: PoolExecutor,
        loads: Sequence[Load],
        alone: Sequence[Load],
        foresee: Callable[[RunGroup, float], Load],
    ) -> float:
        """Return how many times as fast a pool trains runs that train alone; 0 where finding out is not worth it."""
        for measure in (guess_alone, partial(seconds_alone, budget_s=_GLANCE_S)):  # most sweeps are plainly too short
            costs = Costs([*loads, *self._measured(alone, foresee, measure)])
            of_alone = [costs.of(load) for load in alone]
            if sum(of_alone) < max(_WORTH_TRYING_S, _MOSTLY * sum(map(costs.of, loads))):
                return 0.0
        run = max(alone, key=costs.of).group.runs[0]
        budget = _BUDGET_SHARE * sum(of_alone)
        here = seconds_alone(run, self._task, budget)
        there = max(pool.call_everywhere(seconds_alone, run, TASK, budget))
        return sum(of_alone) * here / (last_end(of_alone, pool.places) * there)

    def _measured(
        self,
        alone: Sequence[Load],
        foresee: Callable[[RunGroup, float], Load],
        measure: Callable[[Run, TrainingTask], float],
    ) -> list[Load]:
        """Return a load of each kind with the seconds that it takes, of some kinds, if nothing was measured of any."""
        if any(load.seconds is not None for load in alone):
            return []
        kinds = list({family(load.group.runs[0]): load for load in alone}.values())
        some = kinds[:: -(-len(kinds) // _SAMPLES)]
        return [foresee(load.group, measure(load.group.runs[0], self._task)) for load in some]

    def close(self) -> None:
        """End whoever trains."""
        self.executor.close()


def _ray_fleet(task: TrainingTask, wish: ClusterWish, tell: Callable[[str], None]) -> RayFleet:
    try:
        from cnnsweep.executors.ray_backend import RayFleet
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UsageError("--executor ray needs Ray: pip install 'cnnsweep[ray]'") from None
    return RayFleet(task, wish, tell)
