"""A simulation of a sweep on a virtual clock, with the same queue as real training. Pure arithmetic."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnnsweep.errors import UsageError
from cnnsweep.planning.scheduling import Assignment, CostModel, Job, Queue, Slot
from cnnsweep.planning.timeline import Bar, Schedule

# Journal with its fsync, checkpoints and event file of a small network, per epoch and run, in the single writing
# process. A worker waits for it, because it returns the decisions.
RECORDING_S = 0.010
_MOST_LOSSES = 5  # maximum expected losses during an epoch; with more, hardly an epoch would end
_MOST_STEPS = 50_000  # maximum steps of all groups; longer sweeps combine epochs, so that a simulation takes seconds


@dataclass(frozen=True, slots=True)
class Conditions:
    """Assumptions about the slots.

    Attributes:
        speeds: by kind of slot, relative to the measured kind; 1 by default.
        startup_s: seconds until a worker is ready, at the start and after a loss.
        losses_per_node_hour: expected losses of a node. Its groups resume after their last whole epochs.
    """

    speeds: Mapping[str, float]
    startup_s: float = 0.0
    losses_per_node_hour: float = 0.0

    def losses(self, epoch_s: float) -> float:
        """Return the expected number of interruptions of an epoch before it completes."""
        return math.expm1(self.losses_per_node_hour / 3600 * epoch_s)

    def lost_s(self, epoch_s: float) -> float:
        """Return the expected training time that these losses add to an epoch (Daly, 2006, without checkpoints)."""
        rate = self.losses_per_node_hour / 3600
        return self.losses(epoch_s) / rate - epoch_s if rate else 0.0


def simulate(
    jobs: Sequence[Job],
    slots: Sequence[Slot],
    conditions: Conditions,
    epochs_done: Mapping[str, int] | None = None,
) -> Schedule:
    """Return the schedule of groups on slots; one process writes each epoch before the next one begins.

    Args:
        jobs: groups with their cost; without measured seconds they cost the mean of the others per epoch.
        epochs_done: by run id.

    Raises:
        UsageError: nodes are lost before an epoch ends.
    """
    return _Simulation(jobs, slots, conditions, epochs_done or {}).play()


@dataclass(slots=True)
class _Training:
    """A group in training.

    Attributes:
        epochs_left: of its longest run.
        epoch_s: seconds of an epoch on the measured kind of slot.
        recording_s: seconds of writing an epoch.
        step: the number of epochs of the present step.
    """

    epochs_left: int
    epoch_s: float
    recording_s: float
    step: int = 0


class _Simulation:
    def __init__(
        self, jobs: Sequence[Job], slots: Sequence[Slot], conditions: Conditions, epochs_done: Mapping[str, int]
    ) -> None:
        costs = CostModel(jobs)
        self._jobs = [Job(load.group, costs.of(load)) for load in jobs]  # kept, and so are their ids
        self._waiting = {id(load): _training(load, epochs_done) for load in self._jobs}
        self._step = -(-sum(training.epochs_left for training in self._waiting.values()) // _MOST_STEPS) or 1
        self._places = tuple(slots)
        self._conditions = conditions
        self._queue = Queue(self._jobs)
        self._free: defaultdict[str, set[int]] = defaultdict(set)  # by kind of slot
        self._busy: dict[int, Assignment] = {}
        self._training: dict[int, _Training] = {}
        self._events: list[tuple[float, bool, int]] = []  # time, whether the slot is free then, number of the slot
        self._writer_free_s = 0.0
        self._bars: list[Bar] = []
        self._training_s = self._wasted_s = self._recording_s = self._waiting_s = 0.0

    def play(self) -> Schedule:
        self._refuse_too_many_losses()
        self._events = [(self._conditions.startup_s, True, number) for number in range(len(self._places))]
        while self._queue or self._busy:
            now, is_free, number = heapq.heappop(self._events)
            if not is_free:
                self._write(now, number)
                continue
            if number in self._busy:
                self._end(now, number)
            self._free[self._places[number].kind].add(number)
            if not (self._events and self._events[0][0] == now):
                self._assign(now)
        makespan_s = max((bar.end_s for bar in self._bars), default=0.0)
        nodes = len({place.node for place in self._places})
        return Schedule(
            slots=self._places,
            bars=tuple(sorted(self._bars, key=lambda bar: (bar.end_s, bar.place))),
            makespan_s=makespan_s,
            training_s=self._training_s,
            wasted_s=self._wasted_s,
            recording_s=self._recording_s,
            waiting_s=self._waiting_s,
            lost_nodes=round(self._conditions.losses_per_node_hour / 3600 * nodes * makespan_s),
        )

    def _refuse_too_many_losses(self) -> None:
        slowest = min((self._conditions.speeds.get(place.kind, 1.0) for place in self._places), default=1.0)
        epoch_s = max((training.epoch_s for training in self._waiting.values()), default=0.0) / slowest
        rate = self._conditions.losses_per_node_hour
        if rate * epoch_s / 3600 > _MOST_LOSSES:
            raise UsageError(
                f"lost: found {rate:g} an hour, but an epoch of a group takes {epoch_s:.0f} s, so none would end; "
                f"allowed here is up to {0.95 * _MOST_LOSSES * 3600 / epoch_s:,.2f}"
            )

    def _assign(self, now: float) -> None:
        """Assign groups to the free slots of each kind, as long as the queue has any."""
        for place in self._queue.fastest_first(self._places[min(free)] for free in self._free.values() if free):
            for number in sorted(self._free[place.kind]):
                load = self._queue.take(self._places[number], self._busy.values(), now)
                if load is None:
                    break
                self._free[place.kind].remove(number)
                self._busy[number] = Assignment(self._places[number], load, now)
                self._training[number] = self._waiting.pop(id(load))
                self._train(now, number)

    def _train(self, now: float, number: int) -> None:
        training = self._training[number]
        training.step = min(self._step, training.epochs_left)
        epoch_s = training.epoch_s / self._conditions.speeds.get(self._places[number].kind, 1.0)
        lost_s = self._conditions.lost_s(epoch_s)
        restart_s = self._conditions.losses(epoch_s) * self._conditions.startup_s
        self._training_s += training.step * epoch_s
        self._wasted_s += training.step * lost_s
        heapq.heappush(self._events, (now + training.step * (epoch_s + lost_s + restart_s), False, number))

    def _write(self, now: float, number: int) -> None:
        training = self._training[number]
        start = max(now, self._writer_free_s)
        self._writer_free_s = end = start + training.step * training.recording_s
        self._waiting_s += start - now
        self._recording_s += end - start
        training.epochs_left -= training.step
        if training.epochs_left:
            self._train(end, number)
        else:
            heapq.heappush(self._events, (end, True, number))

    def _end(self, now: float, number: int) -> None:
        del self._training[number]
        ended = self._busy.pop(number)
        self._queue.learn(ended.place, ended.load, now - ended.since)
        self._bars.append(Bar(number, ended.load.group, ended.since, now))


def _training(load: Job, epochs_done: Mapping[str, int]) -> _Training:
    left = [max(run.hyperparameters.epochs - epochs_done.get(run.id, 0), 0) for run in load.group.runs]
    epochs = max([*left, 1])
    assert load.seconds is not None
    return _Training(epochs, load.seconds / epochs, RECORDING_S * sum(left) / epochs)
