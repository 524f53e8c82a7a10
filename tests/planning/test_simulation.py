"""A sweep on a virtual clock ends when it does by hand, and as it does with an executor."""

from __future__ import annotations

import random

import pytest
from test_groups import make_run
from test_placement import drive, load

from cnnsweep.errors import UsageError
from cnnsweep.planning import simulation
from cnnsweep.planning.scheduling import Job, Queue, Slot
from cnnsweep.planning.simulation import Conditions, simulate
from cnnsweep.types import RunGroup

GPU = Slot("cuda:0", 1)
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
    assert played.most_slots == pytest.approx(1 + 8 / 2)
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
    jobs = [load(f"{number}-", 1.0 + number * 7 % 11 + (number + 1) ** 0.5 / 7) for number in range(40)]
    slots = [Slot("cuda:0", 1), Slot("cuda:1", 1), *[Slot("cpu", 1)] * 3]
    end, ended = drive(Queue(jobs), slots, speeds)
    played = simulate(jobs, slots, Conditions(speeds))
    assert played.makespan_s == pytest.approx(end)
    assert [bar.group.runs[0].id for bar in played.bars] == [one.group.runs[0].id for one in ended]


@pytest.mark.usefixtures("free_recording")
def test_losses_cost_as_much_as_in_the_mean_of_many_sweeps():
    rate, epoch_s, startup_s = 3.0, 900.0, 60.0
    draws = random.Random(0)

    def seconds_of_an_epoch() -> float:
        spent = 0.0
        while (until_loss := draws.expovariate(rate / 3600)) < epoch_s:
            spent += until_loss + startup_s
        return spent + epoch_s

    mean = sum(seconds_of_an_epoch() for _ in range(20_000)) / 20_000
    lossy = Conditions({}, startup_s, rate)
    played = simulate([load("a", 10 * epoch_s, epochs=10)], [GPU], lossy)
    assert played.makespan_s - startup_s == pytest.approx(10 * mean, rel=0.03)  # the error of the mean is 0.7 %
    assert played.training_s == pytest.approx(10 * epoch_s)
    assert played.wasted_s > 0
    assert played.lost_nodes == round(rate * played.makespan_s / 3600)


def test_losses_that_let_no_epoch_end_are_refused():
    with pytest.raises(
        UsageError, match=r"lost: found 100 an hour, but an epoch of a group takes 1000 s.*up to 17\.10$"
    ):
        simulate([load("a", 3000.0)], [GPU], Conditions({}, losses_per_node_hour=100.0))


def test_long_sweeps_are_played_in_larger_steps_and_end_alike(monkeypatch):
    jobs = [load(f"{number}-", 100.0 + number, epochs=50) for number in range(30)]
    fine = simulate(jobs, [GPU] * 4, PLAIN)
    monkeypatch.setattr(simulation, "_MOST_STEPS", 200)
    assert simulate(jobs, [GPU] * 4, PLAIN).makespan_s == pytest.approx(fine.makespan_s, rel=0.01)


def test_runs_that_differ_in_epochs_are_recorded_as_long_as_they_train(monkeypatch):
    recording(monkeypatch, 1.0)
    group = RunGroup.of([(make_run("short", epochs=1), make_run("long", epochs=3))])
    assert simulate([Job(group, 3.0)], [GPU], PLAIN).makespan_s == pytest.approx(3 + 4)
    assert simulate([], [GPU], PLAIN).makespan_s == 0
