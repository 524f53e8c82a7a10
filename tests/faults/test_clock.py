"""A clock that is set while a sweep trains moves no duration and no figure."""

from __future__ import annotations

import itertools
import os
import signal
import time

import pytest
from small_sweeps import SilentDisplay, sweep, tables, untimed
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

HOUR_S = 3600.0


@pytest.fixture
def jumping_clock(monkeypatch):
    """Every look at the clock finds it hours ahead or behind of the look before."""
    jumps = itertools.cycle([0.0, 5 * HOUR_S, -7 * HOUR_S, HOUR_S, -24 * HOUR_S])
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + next(jumps))


@pytest.fixture
def setting_clock(monkeypatch):
    """Set the clock to so many hours from now."""
    true_time = time.time

    def set_to(hours: float) -> None:
        monkeypatch.setattr(time, "time", lambda: true_time() + hours * HOUR_S)

    return set_to


def test_durations_and_figures_do_not_look_at_the_clock(tmp_path, jumping_clock):
    sweep(tmp_path / "jumping")
    for row in [*tables(tmp_path / "jumping")["epochs"], *tables(tmp_path / "jumping")["runs"]]:
        assert all(0 <= value < 600 for key, value in row.items() if key.endswith("duration")), row


def test_a_sweep_goes_on_after_the_clock_was_set_back(tmp_path, setting_clock):
    sweep(tmp_path / "whole")
    setting_clock(8)
    sweep(tmp_path / "out", display=(first := Interrupting()))
    assert len(first.records) == 1
    setting_clock(-8)
    sweep(tmp_path / "out")
    assert untimed(tmp_path / "out") == untimed(tmp_path / "whole")
    for row in tables(tmp_path / "out")["runs"]:
        assert epochs_on_the_board(tmp_path / "out" / row["run"]) == [1, 2]


class Interrupting(SilentDisplay):
    """Asks for a stop within the first epoch."""

    def on_batch_end(self, run_ids, epoch, done, total):
        if not self.records:
            os.kill(os.getpid(), signal.SIGTERM)


def epochs_on_the_board(folder) -> list[int]:
    """Return the steps of the loss by epoch as TensorBoard meets them: file by file, in the order of their names."""
    return [
        event.step
        for path in sorted(folder.glob("events.out.tfevents.*"))
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if value.tag == "epoch/loss"
    ]
