"""The time that a sweep has trained, by the times in its journal."""

import pytest

from cnnsweep.storage.training_time import TrainingTime


def time_after(*events: tuple[str, float], **fields: float | None) -> TrainingTime:
    """Return the time after some events, each with its second; `fields` are those of the last."""
    time = TrainingTime()
    for number, (kind, second) in enumerate(events, start=1):
        last = fields if number == len(events) else {}
        time.apply({"event": kind, "time": f"2025-01-01T00:00:{second:06.3f}+00:00", **last})
    return time


def test_a_command_trains_from_its_first_groups_to_its_last_event():
    assert time_after(("sweep", 1), ("run", 2)).elapsed == 0
    assert time_after(("sweep", 1), ("planned", 3), ("epoch", 5.5), ("planned", 7)).of_command == 4


def test_the_end_of_a_command_has_its_own_measurement_which_no_clock_that_is_set_changes():
    assert time_after(("sweep", 1), ("planned", 3), ("epoch", 5), ("left", 2), elapsed=2.5).of_command == 2.5
    assert time_after(("sweep", 1), ("planned", 3), ("left", 2), elapsed=None).of_command == 0  # never below 0


@pytest.mark.parametrize("later", ["tested", "cleaned"])
def test_what_comes_after_the_end_is_no_training(later):
    assert time_after(("sweep", 0), ("planned", 1), ("left", 4), (later, 50)).elapsed == 3


def test_commands_add_up():
    time = time_after(("sweep", 0), ("planned", 1), ("left", 4), ("sweep", 20), ("planned", 30), ("epoch", 32))
    assert (time.before, time.of_command, time.elapsed) == (3, 2, 5)


def test_times_that_no_cnnsweep_wrote_count_for_nothing():
    time = TrainingTime()
    for kind in ("sweep", "planned", "epoch"):
        time.apply({"event": kind, "time": "yesterday"})
    assert time.elapsed == 0
