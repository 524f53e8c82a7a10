"""Which load goes to which place: the longest first, each once, to where it ends soonest."""

from __future__ import annotations

import heapq
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_groups import make_run

from cnnsweep.planning.scheduling import Assignment, Job, Queue, Slot
from cnnsweep.types import RunGroup

CPU, SLOW = Slot("cpu", 1), Slot("cpu", 2)
FAST = Slot("cuda:0", 1), Slot("cuda:1", 1)


def load(name: str, seconds: float | None, runs: int = 1, epochs: int = 3) -> Job:
    return Job(RunGroup.of([(make_run(f"{name}{n}", epochs=epochs),) for n in range(runs)]), seconds)


def name(one: Job | None) -> str | None:
    return None if one is None else one.group.runs[0].id[:-1]


def drive(queue: Queue, slots: list[Slot], speeds: dict[str, float]) -> tuple[float, list[Job]]:
    """Do what an executor does: ask for every free place whenever something has ended; return the end, and what did."""
    busy: dict[int, Assignment] = {}
    ends: list[tuple[float, int]] = []
    ended: list[Job] = []
    now = 0.0
    while queue or busy:
        for place in queue.fastest_first([place for n, place in enumerate(slots) if n not in busy]):
            number = next(n for n, one in enumerate(slots) if one == place and n not in busy)
            if (one := queue.take(place, list(busy.values()), now)) is not None:
                busy[number] = Assignment(place, one, now)
                heapq.heappush(ends, (now + one.seconds / speeds.get(place.kind, 1.0), number))
        now, number = heapq.heappop(ends)
        over = busy.pop(number)
        queue.learn(over.place, over.load, now - over.since)
        ended.append(over.load)
    return now, ended


costs = st.lists(st.floats(0.1, 100), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None)
@given(costs, st.integers(1, 6))
def test_on_equal_places_the_whole_ends_within_grahams_bound(seconds, slots):
    jobs = [load(f"l{number}-", cost) for number, cost in enumerate(seconds)]
    end, ended = drive(Queue(jobs), [CPU] * slots, {})
    assert sorted(map(name, ended)) == sorted(map(name, jobs))
    # Graham 1969: the load that ends last begins no later than the mean of the others, and so ends by this.
    assert end <= sum(seconds) / slots + max(seconds) * (1 - 1 / slots) + 1e-6
    assert end >= max(max(seconds), sum(seconds) / slots) - 1e-6


def test_the_longest_go_first_and_what_is_put_back_before_them():
    queue = Queue([load("short", 1.0), load("long", 9.0), load("middle", 5.0)])
    assert name(queue.take(CPU)) == "long"
    queue.put_back([load("part", 0.5), load("lost", 2.0)])
    assert len(queue) == 4
    assert [name(queue.take(CPU)) for _ in range(5)] == ["lost", "part", "middle", "short", None]


def test_what_was_not_measured_costs_by_its_epochs_and_runs():
    known = load("known", 10.0, runs=2, epochs=5)  # a second a run and epoch
    jobs = [known, load("longer", None, runs=3, epochs=4), load("shorter", None, runs=1, epochs=9)]
    queue = Queue(jobs)
    assert [name(queue.take(CPU)) for _ in jobs] == ["longer", "known", "shorter"]
    unknown = Queue([load("few", None, epochs=2), load("many", None, runs=4, epochs=2)])
    assert name(unknown.take(CPU)) == "many"


def test_a_kind_that_was_not_measured_is_tried_with_the_shortest_load():
    queue = Queue([load("a", 9.0), load("b", 5.0), load("c", 1.0)])
    assert name(queue.take(FAST[0])) == "a"
    assert name(queue.take(CPU, [Assignment(FAST[0], load("a", 9.0), 0.0)])) == "c"
    assert name(queue.take(FAST[1])) == "b"


def test_a_slow_place_leaves_a_load_to_a_busy_fast_one_where_it_ends_sooner():
    on_fast = Assignment(FAST[0], load("busy", 10.0), 0.0)
    speeds = {"cuda": 1.0, CPU.kind: 0.1}
    waits = Queue([load("last", 10.0)], speeds)
    assert waits.take(CPU, [on_fast], 0.0) is None  # 20 s if it waits for the GPU, 100 s here
    assert name(waits.take(FAST[0], [], 10.0)) == "last"
    # Of many, the slow place gets the first that would end no sooner on the GPU: after the busy one and eight others.
    many = Queue([load(f"{number:02}-", 10.0) for number in range(30)], speeds)
    assert name(many.take(CPU, [on_fast], 0.0)) == "08-"
    assert len(many) == 29


def test_nothing_waits_where_nothing_is_busy():
    queue = Queue([load("a", 10.0)], {"cuda": 1.0, CPU.kind: 0.001})
    assert name(queue.take(CPU, [], 0.0)) == "a"


def test_a_fast_place_that_does_not_end_is_not_waited_for_for_ever():
    stuck = Assignment(FAST[0], load("stuck", 1.0), 0.0)
    queue = Queue([load("a", 1.0)], {"cuda": 1.0, CPU.kind: 0.1})
    assert queue.take(CPU, [stuck], 5.0) is None  # perhaps 9.0 and 10.0 there, 15.0 here
    assert name(queue.take(CPU, [stuck], 50.0)) == "a"


def test_speeds_are_learned_from_what_loads_took():
    queue = Queue([load("a", 10.0), load("b", 10.0)])
    queue.take(FAST[0])
    queue.learn(FAST[0], load("a", 10.0), 5.0)
    queue.learn(CPU, load("c", 1.0), 10.0)
    queue.learn(CPU, load("d", 3.0), 10.0)
    assert queue.speeds == {"cuda": 2.0, "cpu with 1 thread": pytest.approx(0.2)}
    assert queue.fastest_first([CPU, FAST[1]]) == [FAST[1], CPU]


@pytest.mark.parametrize("seed", range(5))
def test_unlike_places_end_every_load_once_and_sooner_than_the_fast_alone(seed):
    draw = random.Random(seed)
    jobs = [load(f"l{number}-", draw.uniform(1, 10)) for number in range(60)]
    speeds = {"cuda": 1.0, CPU.kind: 0.2, SLOW.kind: 0.4}
    end, ended = drive(Queue(jobs), [*FAST, CPU, CPU, SLOW], speeds)
    assert sorted(map(name, ended)) == sorted(map(name, jobs))
    alone, _ = drive(Queue(jobs), list(FAST), speeds)
    assert end < 0.85 * alone  # 2 / 2.8 is the best that can be
    far_slower, _ = drive(Queue(jobs), [*FAST, CPU], {"cuda": 1.0, CPU.kind: 0.01})
    assert far_slower < 1.02 * alone + 100  # the shortest load, as a trial, is all that it may lose
