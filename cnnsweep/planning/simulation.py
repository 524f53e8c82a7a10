"""A sweep played through on a virtual clock, with the very queue that hands out the real one: pure arithmetic."""

from __future__ import annotations

import heapq
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from cnnsweep.errors import UsageError
from cnnsweep.planning.scheduling import Assignment, Costs, Load, Place, Queue
from cnnsweep.planning.timeline import Bar, Schedule

# Journal with its fsync, checkpoints and event file of a small network, each epoch of each run, in the one process that
# writes; a worker waits for it before it goes on, since it brings the decisions back.
RECORDING_S = 0.010
_MOST_LOSSES = 5  # in the mean, while an epoch trains: beyond, none would ever end
_MOST_STEPS = 200_000  # of all groups: beyond, several epochs are one step, so that long sweeps are played in seconds


@dataclass(frozen=True, slots=True)
class Conditions:
    """Assumptions about the slots.

    Attributes:
        speeds: by kind of place, against the kind that was measured; 1 where nothing is said.
        startup_s: until a worker is ready, at the start and after its node was lost.
        losses_per_node_hour: how often a node is lost, in the mean. Its groups go on after their last whole epochs.
        seed: of when nodes are lost.
    """

    speeds: Mapping[str, float]
    startup_s: float = 0.0
    losses_per_node_hour: float = 0.0
    seed: int = 0


def simulate(
    loads: Sequence[Load],
    places: Sequence[Place],
    conditions: Conditions,
    epochs_done: Mapping[str, int] | None = None,
) -> Schedule:
    """Return how groups train at places, each epoch written down by one process before the next begins.

    Args:
        loads: those of which nothing was measured cost what the others do, by their epochs.
        epochs_done: by run id.

    Raises:
        UsageError: nodes are lost before an epoch ends.
    """
    return _Simulation(loads, places, conditions, epochs_done or {}).play()


class _Event(IntEnum):
    """Kinds of events; of two at the same time, the first of these comes first."""

    NODE_LOST = 0
    EPOCHS_TRAINED = 1
    PLACE_FREE = 2


@dataclass(slots=True)
class _Training:
    """A group on its way.

    Attributes:
        epochs_left: of its longest run.
        epoch_s: an epoch, on the kind of place that was measured.
        recording_s: writing an epoch down.
        begun_s: when the current step of so many epochs began, or will.
    """

    load: Load
    epochs_left: int
    epoch_s: float
    recording_s: float
    begun_s: float = 0.0
    step: int = 0


class _Simulation:
    def __init__(
        self, loads: Sequence[Load], places: Sequence[Place], conditions: Conditions, epochs_done: Mapping[str, int]
    ) -> None:
        costs = Costs(loads)
        known = [Load(load.group, costs.of(load)) for load in loads]
        self._waiting = {id(load): _training(load, epochs_done) for load in known}
        self._loads = known  # keeps them, and so their ids
        self._step = -(-sum(training.epochs_left for training in self._waiting.values()) // _MOST_STEPS) or 1
        self._places = tuple(places)
        self._conditions = conditions
        self._queue = Queue(known)
        self._free: defaultdict[str, set[int]] = defaultdict(set)  # by kind of place
        self._busy: dict[int, Assignment] = {}
        self._training: dict[int, _Training] = {}
        self._lives = [0] * len(places)  # events of an earlier life of a place are void
        self._events: list[tuple[float, _Event, int, int]] = []  # when, what, number of place or node, life
        self._nodes: dict[str | None, list[int]] = {}
        for number, place in enumerate(places):
            self._nodes.setdefault(place.node, []).append(number)
        self._members = list(self._nodes.values())
        self._random = random.Random(conditions.seed)
        self._writer_free_s = 0.0
        self._bars: list[Bar] = []
        self._training_s = self._wasted_s = self._recording_s = self._waiting_s = 0.0
        self._lost_nodes = 0

    def play(self) -> Schedule:
        self._refuse_too_many_losses()
        startup_s = self._conditions.startup_s
        for number in range(len(self._places)):
            self._push(startup_s, _Event.PLACE_FREE, number)
        for node in range(len(self._members)):
            self._push_loss(startup_s, node)
        while self._queue or self._busy:
            now, event, number, life = heapq.heappop(self._events)
            if event is _Event.NODE_LOST:
                self._lose(now, number)
            elif life != self._lives[number]:
                continue
            elif event is _Event.EPOCHS_TRAINED:
                self._write_down(now, number)
            else:
                if number in self._busy:
                    self._end(now, number)
                self._free[self._places[number].kind].add(number)
            if event is not _Event.EPOCHS_TRAINED and not self._is_more_at(now):
                self._hand_out(now)
        return Schedule(
            places=self._places,
            bars=tuple(sorted(self._bars, key=lambda bar: (bar.end_s, bar.place))),
            makespan_s=max((bar.end_s for bar in self._bars), default=0.0),
            training_s=self._training_s,
            wasted_s=self._wasted_s,
            recording_s=self._recording_s,
            waiting_s=self._waiting_s,
            lost_nodes=self._lost_nodes,
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

    def _push(self, when: float, event: _Event, number: int) -> None:
        life = 0 if event is _Event.NODE_LOST else self._lives[number]
        heapq.heappush(self._events, (when, event, number, life))

    def _push_loss(self, since: float, node: int) -> None:
        if rate := self._conditions.losses_per_node_hour / 3600:
            self._push(since + self._random.expovariate(rate), _Event.NODE_LOST, node)

    def _is_more_at(self, now: float) -> bool:
        return bool(self._events) and self._events[0][0] == now

    def _hand_out(self, now: float) -> None:
        """Ask for the places of each kind, as long as they get something."""
        if not self._queue:
            return
        for place in self._queue.fastest_first(self._places[min(free)] for free in self._free.values() if free):
            for number in sorted(self._free[place.kind]):
                load = self._queue.take(self._places[number], self._busy.values(), now)
                if load is None:
                    break
                self._free[place.kind].remove(number)
                self._busy[number] = Assignment(self._places[number], load, now)
                self._training[number] = self._waiting.pop(id(load))
                self._go_on(now, number)

    def _go_on(self, now: float, number: int) -> None:
        training = self._training[number]
        training.begun_s = now
        training.step = min(self._step, training.epochs_left)
        self._push(now + training.step * self._epoch_s(number), _Event.EPOCHS_TRAINED, number)

    def _epoch_s(self, number: int) -> float:
        return self._training[number].epoch_s / self._conditions.speeds.get(self._places[number].kind, 1.0)

    def _write_down(self, now: float, number: int) -> None:
        training = self._training[number]
        start = max(now, self._writer_free_s)
        self._writer_free_s = end = start + training.step * training.recording_s
        self._waiting_s += start - now
        self._recording_s += end - start
        self._training_s += now - training.begun_s
        training.epochs_left -= training.step
        if training.epochs_left:
            self._go_on(end, number)
        else:
            self._push(end, _Event.PLACE_FREE, number)

    def _end(self, now: float, number: int) -> None:
        del self._training[number]
        ended = self._busy.pop(number)
        self._queue.learn(ended.place, ended.load, now - ended.since)
        self._bars.append(Bar(number, ended.load.group, ended.since, now))

    def _lose(self, now: float, node: int) -> None:
        """Have everything of a node trained on elsewhere, from the last whole epochs, and another take its place."""
        self._lost_nodes += 1
        ready = now + self._conditions.startup_s
        lost = []
        for number in self._members[node]:
            self._lives[number] += 1
            self._free[self._places[number].kind].discard(number)
            self._push(ready, _Event.PLACE_FREE, number)
            if number not in self._busy:
                continue
            if self._training[number].epochs_left:
                lost.append(self._take_away(now, number))
            else:  # it has reported its last epoch
                self._end(now, number)
        self._queue.put_back(lost)
        self._push_loss(ready, node)

    def _take_away(self, now: float, number: int) -> Load:
        training, was = self._training[number], self._busy.pop(number)
        whole_s = self._epoch_s(number)
        spent_s = max(now - training.begun_s, 0.0)  # it may still wait to be written down
        whole = min(int(spent_s / whole_s), training.step - 1) if whole_s else 0
        del self._training[number]
        training.epochs_left -= whole
        self._training_s += whole * whole_s
        self._wasted_s += spent_s - whole * whole_s
        self._bars.append(Bar(number, was.load.group, was.since, now))
        load = Load(was.load.group, training.epochs_left * training.epoch_s)
        self._loads.append(load)
        self._waiting[id(load)] = training
        training.load = load
        return load


def _training(load: Load, epochs_done: Mapping[str, int]) -> _Training:
    left = [max(run.hyperparameters.epochs - epochs_done.get(run.id, 0), 0) for run in load.group.runs]
    epochs = max([*left, 1])
    assert load.seconds is not None
    return _Training(load, epochs, load.seconds / epochs, RECORDING_S * sum(left) / epochs)
