"""Schedule of groups: the longest first, on the slot that ends it soonest. Pure arithmetic."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cnnsweep.types import RunGroup


@dataclass(frozen=True, slots=True)
class Place:
    """Slot in which a group trains; several may be equal.

    Attributes:
        device: `cpu`, `cuda:0` and so on.
        threads: of the CPU, for it alone.
        node: of a cluster; None is this machine.
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
class Load:
    """A group and what it costs.

    Attributes:
        seconds: foreseen, on the kind of device that was measured; None where nothing was.
    """

    group: RunGroup
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Assignment:
    """A load that trains somewhere, since a time on the clock of whoever asks."""

    place: Place
    load: Load
    since: float


class Queue:
    """Queue of jobs; a free slot gets the longest first.

    On unlike places a load may wait for one that is busy, if it ends sooner there (list scheduling in the order of LPT,
    Graham 1969, each load to the place that would end it first). How fast a kind of place is follows from what loads
    took there. The kind that asks first counts as the one that was measured; any other is tried with the shortest load.

    Args:
        speeds: of kinds of places that are known from the start, against what `Load.seconds` is for.
    """

    def __init__(self, loads: Sequence[Load], speeds: Mapping[str, float] | None = None) -> None:
        self._costs = Costs(loads)
        self._waiting = sorted(loads, key=self._costs.of, reverse=True)
        self._is_measured = any(load.seconds is not None for load in loads)
        self._first_kind: str | None = None
        self._speeds = dict(speeds or {})
        self._foreseen: defaultdict[str, float] = defaultdict(float)  # by kind of place, of loads that ended there
        self._taken: defaultdict[str, float] = defaultdict(float)

    def __len__(self) -> int:
        return len(self._waiting)

    def put_back(self, loads: Sequence[Load]) -> None:
        """Take in parts of a group that was split, or what a lost worker had: they go first."""
        self._waiting[:0] = sorted(loads, key=self._costs.of, reverse=True)

    def take(self, place: Place, busy: Iterable[Assignment] = (), now: float = 0.0) -> Load | None:
        """Return what a free place is to train, and forget it; None if the place does best to wait, or nothing is left.

        While nothing is busy a place always gets something. Ask again whenever a load has ended anywhere, and now and
        then in between, since what is overdue counts as slow. Ask free places in the order of `fastest_first`.

        Args:
            busy: what trains elsewhere.
            now: on the same clock as `Assignment.since`.
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
        """By kind of place, those that are known: for the queue of a next round."""
        return self._speeds

    def fastest_first(self, places: Iterable[Place]) -> list[Place]:
        """Return places in the order in which they should be asked; equally fast ones stay in theirs."""
        return sorted(places, key=self._speed, reverse=True)

    def learn(self, place: Place, load: Load, took_s: float) -> None:
        """Hear that a load has ended at a place, and what it took there."""
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

    def _speed(self, place: Place) -> float:
        return self._speeds.get(place.kind) or max(self._speeds.values(), default=1.0)

    def _first_for(self, place: Place, busy: Iterable[Assignment], now: float) -> int | None:
        """Return the first waiting load that a slow place would end before all others, once they are free, could."""
        speed = self._speed(place)
        free_at: dict[float, list[float]] = {}  # by speed: when such places are free, as heaps
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
        return end if end >= now else now + (now - end)  # what is overdue may take as long again


class Costs:
    """Cost of each job, in seconds if any was measured, else in epochs of a trajectory."""

    def __init__(self, loads: Sequence[Load]) -> None:
        known = [load for load in loads if load.seconds is not None]
        epochs = sum(epochs_of(load.group) for load in known)
        self._an_epoch = sum(load.seconds or 0.0 for load in known) / epochs if epochs else 1.0

    def of(self, load: Load) -> float:
        """Return what a load costs: as foreseen, or as much an epoch as those of which something is known."""
        return epochs_of(load.group) * self._an_epoch if load.seconds is None else load.seconds


def last_end(costs: Sequence[float], places: int) -> float:
    """Return when the last of some loads ends on so many equal places, the longest first."""
    ends = [0.0] * places
    for cost in sorted(costs, reverse=True):
        heapq.heapreplace(ends, ends[0] + cost)
    return max(ends)


def epochs_of(group: RunGroup) -> int:
    """Return how many epochs the trajectories of a group are, in sum."""
    return sum(max(run.hyperparameters.epochs for run in runs) for runs in group.trajectories)
