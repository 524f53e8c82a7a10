"""Who gets which group, and what becomes of groups whose workers are lost: with workers that live in memory."""

from __future__ import annotations

import itertools
import random
import time

import pytest
from fake_fleet import (
    CPU,
    Clock,
    FakeFleet,
    FakeWatcher,
    cannot_together,
    make_group,
    report,
    trains_well,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnsweep.errors import ExecutionError, FolderError
from cnnsweep.executors import pool as pool_module
from cnnsweep.executors.backend import WorkerDied
from cnnsweep.executors.messages import BatchesDone, Call, Decisions, EpochEnded, LogLine, Ready, StartupFailed
from cnnsweep.executors.pool import PoolExecutor
from cnnsweep.planning.scheduling import Job, Slot
from cnnsweep.types import Decision, FailureKind, RunStatus


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(pool_module, "time", clock)
    return clock


def loads(*groups, seconds=None):
    return [Job(group, seconds) for group in groups]


def dies_at(first_losses, when=0):
    """Return what workers do whose first so many orders end in their death, after so many epochs."""
    losses = itertools.count()

    def train(order, decided):
        if next(losses) < first_losses:
            for epoch in range(1, when + 1):
                yield EpochEnded(tuple(report(run.id, epoch) for run in order.group.runs))
            yield WorkerDied("was killed by SIGKILL")
        else:
            yield from trains_well(order, decided)

    return train


def _next_epoch(order, run_id):
    return order.checkpoints[run_id].record.epoch + 1 if run_id in order.checkpoints else 1


def execute(fleet, callback, *groups, lockstep=False):
    executor = PoolExecutor(fleet, lockstep=lockstep)
    executor.execute(loads(*groups), callback)
    return executor


def test_every_group_is_trained_once_by_as_many_workers_as_there_are_places():
    fleet, callback = FakeFleet(), FakeWatcher()
    groups = [make_group(f"{name}1", f"{name}2") for name in "abcde"]
    execute(fleet, callback, *groups)
    assert sorted(callback.started) == [["a1", "a2"], ["b1", "b2"], ["c1", "c2"], ["d1", "d2"], ["e1", "e2"]]
    assert set(callback.statuses.values()) == {RunStatus.FINISHED}
    assert set(callback.epochs.values()) == {3}
    assert len(fleet.hired) == 2
    assert all(worker.orders for worker in fleet.hired)


def test_no_more_workers_than_groups_are_hired_and_those_there_are_serve_again():
    fleet, callback = FakeFleet([CPU] * 5), FakeWatcher()
    executor = execute(fleet, callback, make_group("a"), make_group("b"))
    executor.execute(loads(make_group("c"), make_group("d"), make_group("e")), callback)
    assert len(fleet.hired) == 3
    assert len(callback.ends) == 5


def test_the_longest_goes_first():
    fleet, callback = FakeFleet([CPU]), FakeWatcher()
    waiting = [Job(make_group(name), seconds) for name, seconds in [("a", 1), ("b", 3), ("c", 2)]]
    PoolExecutor(fleet).execute(waiting, callback)
    assert callback.started == [["b"], ["c"], ["a"]]


def test_what_a_lost_worker_had_goes_on_from_its_last_epoch_with_another():
    fleet, callback = FakeFleet(train=dies_at(1, when=2)), FakeWatcher()
    execute(fleet, callback, make_group("a", "b"))
    assert callback.lost == ["worker 0 was killed by SIGKILL"]
    orders = [order for worker in fleet.hired for order in worker.orders]
    assert [order.checkpoints.get("a") and order.checkpoints["a"].record.epoch for order in orders] == [None, 2]
    assert callback.statuses == {"a": RunStatus.FINISHED, "b": RunStatus.FINISHED}


def test_only_the_runs_that_had_not_ended_are_trained_again():
    def train(order, decided):
        for message in trains_well(order, decided):
            yield message
            if getattr(message, "outcome", None) and message.outcome.run_id == "a" and len(order.group.runs) == 2:
                yield WorkerDied("exited with code 3")

    fleet, callback = FakeFleet(train=train), FakeWatcher()
    execute(fleet, callback, make_group("a", "b"))
    assert callback.started == [["a", "b"], ["b"]]
    assert callback.statuses == {"a": RunStatus.FINISHED, "b": RunStatus.FINISHED}


def test_a_run_that_costs_three_workers_an_epoch_fails():
    fleet, callback = FakeFleet([CPU], train=dies_at(3)), FakeWatcher()
    execute(fleet, callback, make_group("a"), make_group("b"))
    assert callback.statuses == {"a": RunStatus.FAILED, "b": RunStatus.FINISHED}
    assert callback.ends["a"].failure is FailureKind.KILLED
    assert callback.ends["a"].cause == (
        "3 workers were lost without an epoch in between, the last of them was killed by SIGKILL; "
        "if memory ran out, try a smaller batch_size or fewer --jobs"
    )
    assert len(callback.lost) == 2


def test_an_epoch_in_between_forgives_what_was_lost():
    """Two workers lost before the first epoch, two after it, one after the second."""
    deaths = iter([0, 0, 1, 0, 1])

    def train(order, decided):
        when = next(deaths, None)
        if when is None:
            yield from trains_well(order, decided)
        for _ in range(when or 0):
            yield EpochEnded((report("a", _next_epoch(order, "a")),))
        if when is not None:
            yield WorkerDied("is gone")

    fleet, callback = FakeFleet([CPU], train=train), FakeWatcher()
    execute(fleet, callback, make_group("a"))
    assert callback.statuses == {"a": RunStatus.FINISHED}
    assert len(callback.lost) == 5


def test_a_group_that_costs_three_workers_is_halved_and_only_the_guilty_run_fails():
    def train(order, decided):
        ids = [run.id for run in order.group.runs]
        return iter([WorkerDied("was killed by SIGSEGV")]) if "c" in ids else trains_well(order, decided)

    fleet, callback = FakeFleet(train=train), FakeWatcher()
    execute(fleet, callback, make_group("a", "b", "c", "d"))
    assert {run_id for run_id, status in callback.statuses.items() if status is RunStatus.FAILED} == {"c"}
    assert callback.ends["c"].failure is FailureKind.KILLED
    assert [parts for parts, _ in callback.splits] == [[["a", "b"], ["c", "d"]], [["c"], ["d"]]]
    assert len(fleet.hired) == 10  # nine deaths: three of each group that it was in


def test_causes_of_equal_failures_are_equal():
    fleet, callback = (
        FakeFleet(train=lambda _order, _decided: iter([WorkerDied("was killed by SIGSEGV")])),
        FakeWatcher(),
    )
    execute(fleet, callback, make_group("a"), make_group("b"))
    assert callback.ends["a"].cause == callback.ends["b"].cause


def test_a_group_that_cannot_go_on_together_is_divided():
    fleet, callback = FakeFleet(train=cannot_together), FakeWatcher()
    execute(fleet, callback, make_group("a", "b", "c"))
    assert callback.splits == [([["a"], ["b", "c"]], "full"), ([["b"], ["c"]], "full")]
    assert set(callback.statuses.values()) == {RunStatus.FINISHED}


def test_decisions_go_back_to_the_worker_that_asked():
    fleet, callback = FakeFleet(), FakeWatcher()
    callback.decisions = {"a": Decision.INTERRUPT}
    execute(fleet, callback, make_group("a", "b"))
    assert callback.statuses == {"a": RunStatus.INTERRUPTED, "b": RunStatus.FINISHED}
    assert callback.epochs == {"a": 1, "b": 3}
    assert all(message.by_run == callback.decisions for _, message in fleet.sent if isinstance(message, Decisions))


def test_none_from_the_watcher_starts_nothing_further_and_ends_what_trains():
    fleet, callback = FakeFleet(), FakeWatcher(most_groups=3)
    execute(fleet, callback, *(make_group(name) for name in "abcdef"))
    assert len(callback.started) == len(callback.ends) == 3


@pytest.mark.parametrize("error", [FolderError("disk"), KeyboardInterrupt()])
def test_an_error_of_the_watcher_ends_all_workers(error):
    fleet, callback = FakeFleet(), FakeWatcher()

    def refuse(_):
        raise error

    callback.on_epoch_end = refuse
    with pytest.raises(type(error)):
        execute(fleet, callback, make_group("a"), make_group("b"))
    assert fleet.is_closed


def test_no_worker_that_starts_is_an_error_that_says_why():
    fleet = FakeFleet(
        begin=lambda _: [LogLine("Traceback"), LogLine("ImportError: torch"), WorkerDied("ended by itself")]
    )
    with pytest.raises(ExecutionError, match=r"no worker can be started: worker \d ended by itself \(ImportError: tor"):
        execute(fleet, callback := FakeWatcher(), make_group("a"), make_group("b"))
    assert callback.started == []
    assert callback.said == []
    assert len(fleet.hired) <= 4


def test_one_place_where_workers_are_unfit_leaves_the_work_to_the_other():
    def begin(number):
        return [Ready("well")] if number == 0 else [StartupFailed("no such device")]

    fleet, callback = FakeFleet(begin=begin), FakeWatcher()
    execute(fleet, callback, *(make_group(name) for name in "abcd"))
    assert set(callback.statuses.values()) == {RunStatus.FINISHED}
    assert len(fleet.hired) == 4  # three were enough to see it
    assert len(fleet.alive) == 1


def test_a_worker_that_could_be_started_is_replaced_though_others_could_not():
    deaths = dies_at(1, when=3)

    def begin(number):
        return [StartupFailed("no such device")] if number in (1, 2, 3) else [Ready("well")]

    fleet, callback = FakeFleet(begin=begin, train=deaths), FakeWatcher()
    execute(fleet, callback, make_group("a"), make_group("b"))
    assert set(callback.statuses.values()) == {RunStatus.FINISHED}


def test_a_fleet_that_can_hire_nobody_matters_only_where_there_is_nobody():
    fleet, callback = FakeFleet(), FakeWatcher()
    start = fleet.start

    def hire_once():
        if fleet.hired:
            raise ExecutionError("no memory")
        return start()

    fleet.start = hire_once
    execute(fleet, callback, make_group("a"), make_group("b"))
    assert set(callback.statuses.values()) == {RunStatus.FINISHED}
    fleet.stop(fleet.hired[0])
    with pytest.raises(ExecutionError, match=r"^no memory$"):
        execute(fleet, callback, make_group("c"))


def test_a_place_that_comes_to_be_is_used(clock):
    fleet, callback = FakeFleet([], clock=clock), FakeWatcher()
    wait = fleet.wait

    def grow(seconds):
        if clock.now > 5 and not fleet._all_places:
            fleet._all_places.append(CPU)
        return wait(seconds)

    fleet.wait = grow
    execute(fleet, callback, make_group("a"))
    assert callback.statuses == {"a": RunStatus.FINISHED}


def test_a_worker_without_work_gives_its_place_back_while_another_trains(clock):
    def train(order, decided):
        for message in trains_well(order, decided):
            if order.group.runs[0].id == "long":
                clock.now += 30
                for number in range(10):
                    yield BatchesDone(("long",), 1, number, 10)
            yield message

    fleet, callback = FakeFleet(train=train, clock=clock), FakeWatcher()
    execute(fleet, callback, make_group("long"), make_group("short"))
    assert [worker.orders[0].group.runs[0].id for worker in fleet.alive] == ["long"]


def test_what_workers_say_comes_with_their_names_but_what_they_say_at_their_start_does_not():
    def train(order, decided):
        yield LogLine("hello")
        yield BatchesDone(("a",), 1, 1, 2)
        yield from trains_well(order, decided)

    fleet = FakeFleet(begin=lambda _: [LogLine("a warning of a library"), Ready("worker 7 on node b")], train=train)
    callback = FakeWatcher()
    execute(fleet, callback, make_group("a"))
    assert callback.said == ["worker 7 on node b: hello"]
    assert callback.batches == [("a",)]


def test_a_place_of_another_kind_is_tried_with_the_shortest():
    fleet, callback = FakeFleet([Slot("cuda:0", 1), Slot("cpu", 1)]), FakeWatcher()
    waiting = [Job(make_group(name), seconds) for name, seconds in [("a", 5.0), ("b", 1.0), ("c", 3.0)]]
    PoolExecutor(fleet).execute(waiting, callback)
    first = {worker.place.device: worker.orders[0].group.runs[0].id for worker in fleet.hired}
    assert first == {"cuda:0": "a", "cpu": "b"}
    assert len(callback.ends) == 3


def test_calls_are_answered_and_their_errors_arrive_as_themselves():
    fleet = FakeFleet()
    executor = PoolExecutor(fleet)
    assert executor.call(divmod, 7, 2) == (3, 1)
    assert executor.call_everywhere(divmod, 9, 2) == [(4, 1), (4, 1)]
    assert len(fleet.hired) == 2


def test_a_call_that_costs_workers_is_made_again_and_given_up_after_three(monkeypatch):
    fleet, callback = FakeFleet(), FakeWatcher()
    send, deaths = fleet.send, []

    def send_and_die(worker, message):
        if not isinstance(message, Call) or len(deaths) == most:
            send(worker, message)
        else:
            deaths.append(worker)
            worker.box.append(WorkerDied("was killed by SIGKILL"))

    fleet.send = send_and_die
    executor = PoolExecutor(fleet)
    most = 2
    assert executor.call(divmod, 7, 2) == (3, 1)
    most = 9
    with pytest.raises(RuntimeError, match="3 workers were lost at it, the last of them was killed by SIGKILL"):
        executor.call(divmod, 7, 2)
    executor.execute(loads(make_group("a")), callback)  # who measures in vain can still train
    assert callback.statuses == {"a": RunStatus.FINISHED}


def test_a_thousand_workers_at_once_cost_next_to_nothing_each():
    fleet, callback = FakeFleet([CPU] * 1_000, chance=random.Random(0)), FakeWatcher()
    before = time.process_time()
    execute(fleet, callback, *(make_group(f"run{number}") for number in range(1_500)))
    assert len(callback.ends) == 1_500
    assert len(fleet.hired) == 1_000
    assert time.process_time() - before < 20  # a few, but for other tests beside this one


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=8),
    slots=st.integers(1, 4),
    seed=st.integers(0, 10**6),
    danger=st.floats(0, 0.5),
    lockstep=st.booleans(),
)
def test_whatever_happens_in_whatever_order_every_run_ends_once(sizes, slots, seed, danger, lockstep):
    chance = random.Random(seed)

    def begin(number):
        if chance.random() < danger / 2:
            return [LogLine("words"), chance.choice([StartupFailed("no device"), WorkerDied("is gone")])]
        return [Ready(f"worker {number}")]

    def train(order, decided):
        script = cannot_together if chance.random() < danger else trains_well
        for message in script(order, decided):
            if chance.random() < danger:
                yield WorkerDied("is gone")
            yield message

    names = iter(range(100))
    groups = [make_group(*(f"run{next(names)}" for _ in range(size))) for size in sizes]
    fleet, callback = FakeFleet([CPU] * slots, begin, train, chance), FakeWatcher()
    try:
        execute(fleet, callback, *groups, lockstep=lockstep)
    except ExecutionError:
        assert sum(not worker.orders for worker in fleet.hired) >= 3  # so many could not be started
        return
    assert not callback.training
    assert set(callback.ends) == {run.id for group in groups for run in group.runs}
    for run_id, outcome in callback.ends.items():
        assert outcome.status is RunStatus.FAILED or callback.epochs[run_id] == 3
        assert (outcome.failure is FailureKind.KILLED) == (outcome.status is RunStatus.FAILED)
