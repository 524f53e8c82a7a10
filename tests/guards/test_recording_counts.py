"""What an epoch asks of the disk is counted instead of timed: writes, waits for the disk, and bytes.

Each number is the difference of two sweeps that differ by four epochs, so that what happens once a sweep is not in it.
Calls are exact, since the write protocol makes them one by one. Bytes have bounds, since the decimals of figures differ
from machine to machine: what is written by design, and about a sixth more.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_sweeps import sweep
from system_calls import CountedCalls

from cnnsweep.storage import atomic_files as files

TEXT = """
name: counted
dataset: {name: shapes, size: 12, classes: 3, train: 100, test: 10}
model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8]}
tensorboard: {graph: false}
"""
PARAMETERS = (9 * 4 + 4) + (100 * 8 + 8) + (8 * 3 + 3)
TENSORS = 6
BATCHES = 9  # of 10 of the 90 images that are trained on
EPOCHS = 4


@dataclass
class Difference:
    """What four epochs of some runs add; the tables apart, which are written as often as time allows."""

    calls: Counter[str]
    written: Counter[str]


@functools.cache
def four_epochs(runs: int) -> Difference:
    few, many = calls_of(runs, 1), calls_of(runs, 1 + EPOCHS)
    calls, written = many.calls.copy(), many.written.copy()
    calls.subtract(few.calls)
    written.subtract(few.written)
    return Difference(calls, written)


def calls_of(runs: int, epochs: int) -> CountedCalls:
    rates = [round(0.001 * (1 + number), 4) for number in range(runs)]
    overrides = [f"params.lr={rates}", "params.batch_size=10", f"params.epochs={epochs}"]
    counted = CountedCalls()
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(files, "os", counted)
        sweep(Path(folder), TEXT, overrides=overrides, fuse=runs)
    return counted


def of_kind(calls: Counter[str], *kinds: str) -> dict[str, int]:
    return {name: count for name, count in sorted(calls.items()) if count and name.split()[1] in kinds}


@pytest.mark.parametrize("runs", [1, 8])
def test_journal_is_written_and_waited_for_once_an_epoch_for_all_runs_of_a_group(runs):
    expected = dict.fromkeys(["fsync journal", "stat journal", "write journal"], EPOCHS)
    assert of_kind(four_epochs(runs).calls, "journal") == expected


@pytest.mark.parametrize("runs", [1, 8])
def test_folder_is_looked_at_once_an_epoch_to_see_that_it_is_still_ours(runs):
    assert of_kind(four_epochs(runs).calls, "lock") == {
        "stat lock": EPOCHS
    }  # as the journal's, for all runs of a group


@pytest.mark.parametrize("runs", [1, 8])
def test_event_file_stays_open_and_is_written_and_waited_for_once_an_epoch(runs):
    each = runs * EPOCHS
    assert of_kind(four_epochs(runs).calls, "events") == dict.fromkeys(
        ["fsync events", "stat events", "write events"], each
    )


@pytest.mark.parametrize("runs", [1, 8])
def test_every_other_file_of_a_run_is_written_by_one_call_an_epoch(runs):
    calls, each = four_epochs(runs).calls, runs * EPOCHS
    assert of_kind(calls, "batch_loss") == dict.fromkeys(
        ["fsync batch_loss", "open batch_loss", "write batch_loss"], each
    )
    assert of_kind(calls, "log") == dict.fromkeys(["open log", "write log"], each)  # nobody waits for the log
    assert of_kind(calls, "last") == dict.fromkeys(["fsync last", "open last", "rename last", "write last"], each)
    assert of_kind(calls, "previous") == {"rename previous": each}


@pytest.mark.parametrize("runs", [1, 8])
def test_folder_is_waited_for_once_for_the_last_checkpoint_and_once_for_the_best(runs):
    calls = four_epochs(runs).calls
    files_of_best = calls["rename best"]  # weights and description, in epochs that are the best so far
    assert 0 <= files_of_best <= 2 * runs * EPOCHS
    assert calls["fsync best"] == calls["write best"] == files_of_best
    tables = calls["rename results"] + calls["rename runs"]
    assert calls["fsync folder"] - tables == runs * EPOCHS + files_of_best / 2


@pytest.mark.parametrize("runs", [1, 8])
def test_bytes_of_an_epoch(runs):
    written, each = four_epochs(runs).written, runs * EPOCHS
    histograms = 2 * TENSORS * (64 * 2 * 8 + 100)  # of weights and gradients: bounds and counts as float64
    assert written["events"] / each < 1.1 * (histograms + BATCHES * 60 + 400)
    assert written["journal"] / each < 550  # counted: 470
    assert written["batch_loss"] / each < BATCHES * 30
    optimizer_and_weights = 3 * 4 * PARAMETERS
    assert written["last"] / each < optimizer_and_weights + 4000  # 24 tensors' names, shapes and places as JSON


def open_files() -> list[str]:
    """Return the descriptors of this process; the last one is of the listing itself."""
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def test_sweep_leaves_no_file_and_no_process_open():
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("no /proc")
    calls_of(1, 1)  # what is opened once a process: devices, libraries
    before = open_files()
    calls_of(2, 1)
    assert open_files() == before
    children = Path("/proc/self/task", str(os.getpid()), "children")
    assert not children.exists() or children.read_text() == ""
