"""Schedule of groups: the longest first, on the slot with the earliest end. Pure arithmetic."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cnnsweep.types import RunGroup


@dataclass(frozen=True, slots=True)
class Slot:
    """Slot in which a group trains; several may be equal.

    Attributes:
        device: `cpu`, `cuda:0` and so on.
        threads: CPU threads of its own.
        node: node of a cluster; None is this machine.
    """

    device: str
    threads: int
    node: str | None = None

    @property
    def kind(self) -> str:
        """Name shared by equally fast slots: `cuda`, `cpu with 2 threads`."""
        kind = self.device.partition(":")[0]
        return f"cpu with {self.threads} thread{'s' if self.threads != 1 else ''}" if kind == "cpu" else kind


@dataclass(frozen=True, slots=True)
class Job:
    """A group and its cost.

    Attributes:
        seconds: estimate for the measured kind of device; None without a measurement.
    """

    group: RunGroup
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Assignment:
    """A job on a slot, with its start time by the caller's clock."""

    place: Slot
    load: Job
    since: float


class Queue:
    """Queue of jobs; a free slot gets the longest first.

    On unequal slots a job may wait for a busy one, if it ends sooner there. This is list scheduling in the order of LPT
    (Graham 1969), with each job on the slot that would end it first. The speed of a kind of slot follows from the times
    of its jobs. The first kind counts as the measured one; any other is tried with the shortest job.

    Args:
        speeds: known speeds of kinds of slots, relative to the kind of `Job.seconds`.
    """

    def __init__(self, jobs: Sequence[Job], speeds: Mapping[str, float] | None = None) -> None:
        self._costs = CostModel(jobs)
        self._waiting = sorted(jobs, key=self._costs.of, reverse=True)
        self._is_measured = any(load.seconds is not None for load in jobs)
        self._first_kind: str | None = None
        self._speeds = dict(speeds or {})
        self._foreseen: defaultdict[str, float] = defaultdict(float)  # by kind of slot, from finished jobs
        self._taken: defaultdict[str, float] = defaultdict(float)

    def __len__(self) -> int:
        return len(self._waiting)

    def put_back(self, jobs: Sequence[Job]) -> None:
        """Put parts of a group that was split, or the job of a lost worker, at the front."""
        self._waiting[:0] = sorted(jobs, key=self._costs.of, reverse=True)

    def take(self, place: Slot, busy: Iterable[Assignment] = (), now: float = 0.0) -> Job | None:
        """Remove and return the next job for a free slot; None if it should wait, or no job is left.

        While no slot is busy, a free one always gets a job. Call again after the end of any job, and from time to time
        in between, since an overdue job counts as slow. Call for free slots in the order of `fastest_first`.

        Args:
            busy: the jobs on other slots.
            now: time by the clock of `Assignment.since`.
        """
        if not self._waiting:
            return None
        if self._is_on_trial(place.kind):
            return self._waiting.pop()
        if self._speed(place) >= max(self._speeds.values(), default=0.0):
            return self._waiting.pop(0)
        number = self._first_for(place, busy, now)
        return None if number is None else self._waiting.pop(number)

    @property
    def speeds(self) -> Mapping[str, float]:
        """Known speeds by kind of slot, for the queue of the next stage."""
        return self._speeds

    def fastest_first(self, slots: Iterable[Slot]) -> list[Slot]:
        """Return slots from the fastest to the slowest; equally fast ones keep their order."""
        return sorted(slots, key=self._speed, reverse=True)

    def learn(self, place: Slot, load: Job, took_s: float) -> None:
        """Record the time that a job took on a slot."""
        if took_s > 0:
            self._foreseen[place.kind] += self._costs.of(load)
            self._taken[place.kind] += took_s
            self._speeds[place.kind] = self._foreseen[place.kind] / self._taken[place.kind]

    def _is_on_trial(self, kind: str) -> bool:
        if self._first_kind is None:
            self._first_kind = kind
            if self._is_measured and not self._speeds:
                self._speeds[kind] = 1.0
        # Speeds can be compared once two are known in the same unit.
        return kind != self._first_kind and not {kind, self._first_kind} <= self._speeds.keys()

    def _speed(self, place: Slot) -> float:
        return self._speeds.get(place.kind) or max(self._speeds.values(), default=1.0)

    def _first_for(self, place: Slot, busy: Iterable[Assignment], now: float) -> int | None:
        """Return the first waiting job that ends sooner on a slow slot than on any faster one, once that is free."""
        speed = self._speed(place)
        free_at: dict[float, list[float]] = {}  # by speed: the times when such slots are free, as heaps
        for one in busy:
            if (other := self._speed(one.place)) > speed:
                free_at.setdefault(other, []).append(self._expected_end(one, now))
        for times in free_at.values():
            heapq.heapify(times)
        for number, load in enumerate(self._waiting):
            cost = self._costs.of(load)
            ends = ((ready[0] + cost / other, other) for other, ready in free_at.items())
            end, fastest = min(ends, default=(math.inf, 0.0))
            if now + cost / speed <= end:
                return number
            heapq.heapreplace(free_at[fastest], end)
        return None

    def _expected_end(self, one: Assignment, now: float) -> float:
        end = one.since + self._costs.of(one.load) / self._speed(one.place)
        return end if end >= now else now + (now - end)  # an overdue job may take the same time again


class CostModel:
    """Cost of each job, in seconds if any was measured, else in epochs of a trajectory."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        known = [load for load in jobs if load.seconds is not None]
        epochs = sum(epochs_of(load.group) for load in known)
        self._an_epoch = sum(load.seconds or 0.0 for load in known) / epochs if epochs else 1.0

    def of(self, load: Job) -> float:
        """Return the cost of a job: the estimate, or the mean cost of an epoch for each of its epochs."""
        return epochs_of(load.group) * self._an_epoch if load.seconds is None else load.seconds


def last_end(costs: Sequence[float], slots: int) -> float:
    """Return the makespan of jobs on equal slots, scheduled with the longest first."""
    ends = [0.0] * slots
    for cost in sorted(costs, reverse=True):
        heapq.heapreplace(ends, ends[0] + cost)
    return max(ends)


def epochs_of(group: RunGroup) -> int:
    """Return the sum of the epochs of a group's trajectories."""
    return sum(max(run.hyperparameters.epochs for run in runs) for runs in group.trajectories)
