"""The cluster of `plan --simulate`, and a sweep on it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from cnnsweep.errors import UsageError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.planning.cost import Forecast
from cnnsweep.planning.scheduling import Slot
from cnnsweep.planning.simulation import Conditions, simulate
from cnnsweep.planning.split_jobs import cut
from cnnsweep.planning.timeline import Schedule

_MOST_PLACES = 10_000
_WORTH_IT = 0.05  # required gain of more nodes
_COUNTS = {"nodes": "nodes", "gpus": "GPUs per node", "cpus": "cores per node", "threads": "cores per worker"}
_POSITIVE = {"speed": "speed relative to the measured device"}
_AMOUNTS = {
    "price": "price of a GPU hour, or core hour",
    "startup": "seconds until a worker is ready",
    "lost": "losses per node-hour",
}
_KEYS = (*_COUNTS, *_POSITIVE, *_AMOUNTS)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Equal nodes.

    Attributes:
        gpus: GPUs per node; 0 if groups train on cores.
        cpus: cores per node; 0 if groups train on GPUs.
        threads: cores per worker; None for the measured number.
        speed: of a GPU, or of a worker's cores, relative to the measured device.
        price: the price of an hour of a GPU, or of a core.
        startup_s: seconds until a worker is ready.
        lost: expected losses of a node per hour.
    """

    nodes: int = 1
    gpus: int = 0
    cpus: int = 0
    threads: int | None = None
    speed: float = 1.0
    price: float | None = None
    startup_s: float = 0.0
    lost: float = 0.0

    @property
    def units(self) -> int:
        """The number of paid GPUs, or cores."""
        return self.nodes * (self.gpus or self.cpus)

    def with_nodes(self, nodes: int) -> Cluster:
        return dataclasses.replace(self, nodes=nodes)

    def slots(self, measured_threads: int) -> list[Slot]:
        """Return the slots.

        Args:
            measured_threads: cores per worker, if the cluster does not set it.
        """
        threads = self.threads or measured_threads
        of_a_node = [f"cuda:{number}" for number in range(self.gpus)] or ["cpu"] * (self.cpus // threads)
        return [Slot(device, threads, f"node {node + 1}") for node in range(self.nodes) for device in of_a_node]


def read_cluster(text: str) -> Cluster:
    """Return the cluster that a text such as `nodes=64,gpus=8` describes.

    Raises:
        UsageError: with all mistakes.
    """
    values: dict[str, float] = {}
    problems = []
    for part in text.split(","):
        key, _, value = (side.strip() for side in part.partition("="))
        if key not in _KEYS:
            problems.append(f"found '{safe_text(key)}', allowed are {', '.join(_KEYS)}, each with =VALUE")
        elif key in values:
            problems.append(f"{key}: found twice")
        elif (number := _number(key, value)) is None:
            problems.append(f"{key}: found '{safe_text(value)}', allowed is {_allowed(key)}")
        else:
            values[key] = number
    if not problems:
        problems = _contradictions(values)
    if problems:
        raise UsageError("\n".join(f"--simulate: {problem}" for problem in problems))
    counts = {key: int(values[key]) for key in _COUNTS if key in values}
    if "cpus" not in counts:
        counts.setdefault("gpus", 1)
    return Cluster(
        **counts,
        speed=values.get("speed", 1.0),
        price=values.get("price"),
        startup_s=values.get("startup", 0.0),
        lost=values.get("lost", 0.0),
    )


def play(cluster: Cluster, forecast: Forecast) -> Schedule:
    """Return the schedule of a sweep on a cluster, with groups split so that every slot has work.

    Raises:
        UsageError: no group was measured, a node has no room for a worker, or nodes are lost too often.
    """
    if forecast.groups and all(cost.seconds is None for cost in forecast.groups):
        raise UsageError("--simulate: no group could be measured; give the seconds per epoch of a run with --cost")
    measured_threads = forecast.slots[0].threads
    slots = cluster.slots(measured_threads)
    if not slots:
        threads = cluster.threads or measured_threads
        raise UsageError(f"--simulate: cpus: found {cluster.cpus}, but a worker has {threads} threads; add threads=1")
    speeds = {place.kind: cluster.speed for place in slots}
    conditions = Conditions(speeds, cluster.startup_s, cluster.lost)
    jobs = cut(forecast.jobs, len(slots), lockstep=forecast.lockstep)
    try:
        return simulate(jobs, slots, conditions, forecast.epochs_done)
    except UsageError as error:
        raise UsageError(f"--simulate: {error}") from None


def compare_sizes(cluster: Cluster, forecast: Forecast) -> list[tuple[Cluster, Schedule]]:
    """Return the schedules on half of the nodes, on all, and on twice the number.

    Raises:
        UsageError: see `play`.
    """
    sizes = sorted({max(cluster.nodes // 2, 1), cluster.nodes, 2 * cluster.nodes})
    return [(sized, play(sized, forecast)) for sized in map(cluster.with_nodes, sizes)]


def enough_nodes(cluster: Cluster, forecast: Forecast) -> int:
    """Return the smallest number of nodes that no larger number makes more than 5 % faster.

    Raises:
        UsageError: see `play`.
    """
    slots = len(cluster.with_nodes(1).slots(forecast.slots[0].threads)) or 1
    runs = sum(len(load.group.runs) for load in forecast.jobs)
    most = max(1, min(-(-runs // slots), _MOST_PLACES // slots))  # with more slots, some have no run

    def seconds(nodes: int) -> float:
        return play(cluster.with_nodes(nodes), forecast).makespan_s

    limit = seconds(most) / (1 - _WORTH_IT)
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if seconds(middle) <= limit else (middle + 1, high)
    return low


def _number(key: str, text: str) -> float | None:
    """Return a value that is allowed; None for others."""
    try:
        number = float(text)
    except ValueError:
        return None
    if key in _COUNTS:
        return number if text.isascii() and text.isdigit() and 1 <= number <= _MOST_PLACES else None
    return number if math.isfinite(number) and number >= 0 and (number > 0 or key in _AMOUNTS) else None


def _allowed(key: str) -> str:
    if key in _COUNTS:
        return f"a whole number from 1 to {_MOST_PLACES:,} ({_COUNTS[key]})"
    return f"a number above 0 ({_POSITIVE[key]})" if key in _POSITIVE else f"a number from 0 ({_AMOUNTS[key]})"


def _contradictions(values: Mapping[str, float]) -> list[str]:
    problems = []
    if "gpus" in values and "cpus" in values:
        problems.append("found gpus and cpus, allowed is one of them: groups train on equal devices")
    if "threads" in values and "cpus" not in values:
        problems.append("threads: found without cpus; give the cores of a node, such as cpus=16")
    if "threads" in values and values["threads"] > values.get("cpus", math.inf):
        problems.append(f"threads: found {values['threads']:.0f}, allowed are up to cpus ({values['cpus']:.0f})")
    slots = values.get("nodes", 1) * (values.get("gpus") or values.get("cpus", 1) // values.get("threads", 1))
    if slots > _MOST_PLACES:
        problems.append(f"found {slots:,.0f} slots in total, allowed are up to {_MOST_PLACES:,}")
    return problems
