"""A sweep on a virtual clock ends when it does by hand, and as it does with an executor."""

from __future__ import annotations

import pytest
from test_groups import make_run
from test_placement import drive, load

from cnnsweep.errors import UsageError
from cnnsweep.planning import simulation
from cnnsweep.planning.scheduling import Load, Place, Queue
from cnnsweep.planning.simulation import Conditions, simulate
from cnnsweep.types import RunGroup

GPU = Place("cuda:0", 1)
PLAIN = Conditions({})


@pytest.fixture
def free_recording(monkeypatch):
    monkeypatch.setattr(simulation, "RECORDING_S", 0.0)


def recording(monkeypatch, seconds: float) -> None:
    monkeypatch.setattr(simulation, "RECORDING_S", seconds)


@pytest.mark.usefixtures("free_recording")
def test_two_places_by_hand():
    played = simulate(
        [load(name, seconds) for name, seconds in zip("abc", (4.0, 6.0, 3.0), strict=True)], [GPU] * 2, PLAIN
    )
    assert [(bar.place, bar.group.runs[0].id, bar.start_s, bar.end_s) for bar in played.bars] == [
        (1, "a0", 0.0, pytest.approx(4.0)),
        (0, "b0", 0.0, pytest.approx(6.0)),
        (1, "c0", pytest.approx(4.0), pytest.approx(7.0)),
    ]
    assert played.makespan_s == pytest.approx(7.0)
    assert played.utilisation == pytest.approx(13 / 14)
    assert (played.waiting_s, played.wasted_s, played.lost_nodes) == (0, 0, 0)


def test_recording_waits_for_its_turn_in_one_process(monkeypatch):
    recording(monkeypatch, 0.5)
    two_epochs = [load(name, 4.0, epochs=2) for name in "ab"]
    # Both train until 2; a is written until 2.5, b until 3; a trains until 4.5 and is written until 5, b until 5.5.
    played = simulate(two_epochs, [GPU] * 2, PLAIN)
    assert [bar.end_s for bar in played.bars] == pytest.approx([5.0, 5.5])
    assert (played.recording_s, played.waiting_s) == pytest.approx((2.0, 0.5))
    assert not played.is_bound_by_recording
    assert played.most_places == pytest.approx(1 + 8 / 2)
    many = simulate([load(f"{number}-", 4.0, epochs=2) for number in range(50)], [GPU] * 50, PLAIN)
    assert many.is_bound_by_recording
    assert many.makespan_s >= 50


def test_a_groups_runs_are_recorded_each(monkeypatch):
    recording(monkeypatch, 0.5)
    assert simulate([load("a", 8.0, runs=4, epochs=2)], [GPU], PLAIN).makespan_s == pytest.approx(8 + 4 * 2 * 0.5)
    half_done = {f"a{number}": 1 for number in range(4)}
    assert simulate([load("a", 4.0, runs=4, epochs=2)], [GPU], PLAIN, half_done).recording_s == pytest.approx(2.0)


@pytest.mark.usefixtures("free_recording")
def test_speed_and_startup_count():
    played = simulate([load("a", 8.0)], [GPU], Conditions({"cuda": 4.0}, startup_s=10.0))
    assert played.makespan_s == pytest.approx(12.0)
    assert played.utilisation == pytest.approx(2 / 12)


@pytest.mark.usefixtures("free_recording")
@pytest.mark.parametrize("speeds", [{}, {"cpu with 1 thread": 0.2}])
def test_it_hands_out_as_an_executor_does(speeds):
    loads = [load(f"{number}-", 1.0 + number * 7 % 11 + (number + 1) ** 0.5 / 7) for number in range(40)]
    places = [Place("cuda:0", 1), Place("cuda:1", 1), *[Place("cpu", 1)] * 3]
    end, ended = drive(Queue(loads), places, speeds)
    played = simulate(loads, places, Conditions(speeds))
    assert played.makespan_s == pytest.approx(end)
    assert [bar.group.runs[0].id for bar in played.bars] == [one.group.runs[0].id for one in ended]


@pytest.mark.usefixtures("free_recording")
@pytest.mark.parametrize("steps", [200_000, 1])
def test_a_lost_node_costs_its_epoch_in_flight(monkeypatch, steps):
    monkeypatch.setattr(simulation, "_MOST_STEPS", steps)
    moments = iter([5.0, 1e9])  # of the only node: after 5 s, and then never again

    class Scripted:
        def __init__(self, seed):
            pass

        def expovariate(self, rate):
            return next(moments)

    monkeypatch.setattr(simulation.random, "Random", Scripted)
    lossy = Conditions({}, startup_s=1.0, losses_per_node_hour=1.0)
    played = simulate([load("a", 12.0, epochs=4)], [Place("cuda:0", 1, "n")], lossy)
    # Starts at 1, an epoch takes 3: lost at 6, in the second epoch; goes on at 7 with three epochs.
    assert played.lost_nodes == 1
    assert played.makespan_s == pytest.approx(16.0)
    assert (played.wasted_s, played.training_s) == pytest.approx((2.0, 12.0))


def test_losses_are_the_same_each_time_and_nothing_is_left_out():
    loads = [load(f"{number}-", 200.0, runs=2, epochs=20) for number in range(40)]
    places = [Place(f"cuda:{number % 4}", 1, f"n{number // 4}") for number in range(8)]
    lossy = Conditions({}, startup_s=30.0, losses_per_node_hour=6.0)
    one, other = (simulate(loads, places, lossy) for _ in range(2))
    assert one == other
    assert one.lost_nodes > 0
    assert one.makespan_s > simulate(loads, places, PLAIN).makespan_s
    assert one.training_s == pytest.approx(40 * 200.0)
    assert {bar.group.runs[0].id for bar in one.bars} == {one.group.runs[0].id for one in loads}


def test_losses_that_let_no_epoch_end_are_refused():
    with pytest.raises(
        UsageError, match=r"lost: found 100 an hour, but an epoch of a group takes 1000 s.*up to 17\.10$"
    ):
        simulate([load("a", 3000.0)], [GPU], Conditions({}, losses_per_node_hour=100.0))


def test_long_sweeps_are_played_in_larger_steps_and_end_alike(monkeypatch):
    loads = [load(f"{number}-", 100.0 + number, epochs=50) for number in range(30)]
    fine = simulate(loads, [GPU] * 4, PLAIN)
    monkeypatch.setattr(simulation, "_MOST_STEPS", 200)
    assert simulate(loads, [GPU] * 4, PLAIN).makespan_s == pytest.approx(fine.makespan_s, rel=0.01)


def test_runs_that_differ_in_epochs_are_recorded_as_long_as_they_train(monkeypatch):
    recording(monkeypatch, 1.0)
    group = RunGroup.of([(make_run("short", epochs=1), make_run("long", epochs=3))])
    assert simulate([Load(group, 3.0)], [GPU], PLAIN).makespan_s == pytest.approx(3 + 4)
    assert simulate([], [GPU], PLAIN).makespan_s == 0
