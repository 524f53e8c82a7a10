import pytest
from sweeps_by_hand import Clock, make_record, make_run

from cnnsweep.progress.eta import TimeLeft


def start(*runs, epochs: int = 3) -> tuple[TimeLeft, Clock]:
    clock = Clock()
    time_left = TimeLeft(clock)
    for run in runs:
        time_left.add(run)
        time_left.set_left(run.id, epochs)
    time_left.start()
    return time_left, clock


def test_time_left_is_unknown_before_the_first_epoch() -> None:
    run = make_run(1, {})
    time_left, clock = start(run)
    assert time_left.seconds({}) is None
    clock.now += 4
    assert time_left.seconds({run.id: 0.9}) is None  # 4 s are too little to tell


def test_long_first_epoch_gives_an_estimate_from_its_batches() -> None:
    run = make_run(1, {})
    time_left, clock = start(run)
    clock.now += 60
    assert time_left.seconds({run.id: 0.01}) is None
    # Half an epoch took 60 s, so 2.5 epochs take 300 s.
    assert time_left.seconds({run.id: 0.5}) == pytest.approx(300)


def test_remaining_epochs_cost_what_epochs_did() -> None:
    run = make_run(1, {})
    time_left, clock = start(run)
    clock.now += 10
    time_left.learn(make_record(run, 1, 0.5, seconds=10))
    time_left.set_left(run.id, 2)
    assert time_left.seconds({}) == pytest.approx(20)
    clock.now += 5
    assert time_left.seconds({run.id: 0.5}) == pytest.approx(15)


def test_slow_kind_still_waiting_is_not_taken_for_fast() -> None:
    fast, slow = make_run(1, {"batch_size": 1000}), make_run(2, {"batch_size": 10})
    time_left, clock = start(fast, slow, epochs=2)
    for run, seconds in ((fast, 1), (slow, 9)):
        clock.now += seconds
        time_left.learn(make_record(run, 1, 0.5, seconds=seconds))
        time_left.set_left(run.id, 1)
    assert time_left.seconds({}) == pytest.approx(10)
    time_left.set_left(slow.id, 0)
    assert time_left.seconds({}) == pytest.approx(1)


def test_runs_side_by_side_share_the_time() -> None:
    runs = [make_run(number, {}) for number in (1, 2, 3, 4)]
    time_left, clock = start(*runs, epochs=2)
    clock.now += 10
    for run in runs:
        time_left.learn(make_record(run, 1, 0.5, seconds=10))
        time_left.set_left(run.id, 1)
    assert time_left.seconds({}) == pytest.approx(10)


def test_nothing_is_left_when_all_runs_have_ended() -> None:
    run = make_run(1, {})
    time_left, clock = start(run)
    clock.now += 10
    time_left.learn(make_record(run, 1, 0.5, seconds=10))
    time_left.set_left(run.id, 0)
    assert (time_left.epochs_left, time_left.seconds({})) == (0, 0)


def test_epochs_of_runs_to_come_cost_the_mean_of_all_kinds() -> None:
    fast, slow = make_run(1, {"batch_size": 1000}), make_run(2, {"batch_size": 10})
    time_left, clock = start(fast, slow, epochs=1)
    for run, seconds in ((fast, 1), (fast, 1), (slow, 10)):
        clock.now += seconds
        time_left.learn(make_record(run, 1, 0.5, seconds=seconds))
    assert time_left.seconds({}, 10) == pytest.approx(1 + 10 + 10 * 12 / 3)


def test_added_run_counts_as_soon_as_it_has_epochs_left() -> None:
    run, later = make_run(1, {}), make_run(2, {})
    time_left, clock = start(run, epochs=1)
    clock.now += 10
    time_left.learn(make_record(run, 1, 0.5, seconds=10))
    time_left.add(later)
    assert time_left.epochs_left == 1
    time_left.set_left(later.id, 4)
    assert (time_left.epochs_left, time_left.seconds({})) == (5, pytest.approx(50))
