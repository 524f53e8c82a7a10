"""Wherever a process is killed or the power fails, the sweep goes on and ends as if nothing had happened.

Every state that a crash can leave is enumerated by `crash_disk`. By default a sample of them is tried; `make
test-faults` tries them all.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from crash_disk import CrashDisk, State, spread
from small_sweeps import SEARCH, SilentDisplay, sweep, tables, untimed
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cnnsweep.storage import atomic_files as files
from cnnsweep.storage.clear import clear_sweep
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import read_state
from cnnsweep.storage.writer import SweepWriter

ALONE = {"overrides": ("params.lr=0.01", "tensorboard.images=false"), "fuse": "off"}
TOGETHER = {"overrides": ("tensorboard.images=false", "tensorboard.histograms=false"), "fuse": 2}
DIVERGING = {"overrides": ("params.lr=[1.0e9,0.01]", "params.optimizer=sgd", "tensorboard=false"), "fuse": 2}
SCENARIOS: dict[str, dict[str, Any]] = {
    "alone": ALONE,
    "together": TOGETHER,
    "diverging": DIVERGING,
    "search": {"text": SEARCH, "fuse": 2},
}


def crash_states(folder: Path, monkeypatch: pytest.MonkeyPatch, between: int, **scenario: Any) -> CrashDisk:
    """Run a sweep, and return the disk with every state in which a crash could have left it."""
    disk = CrashDisk(folder, between)
    write = SweepWriter.writing_epoch

    @contextmanager
    def write_and_count(recorder, reports):
        with write(recorder, reports):
            yield
        # One that diverged has no checkpoint: it is trained again, unless its run's end was written down.
        disk.committed += sum(report.record.divergence is None for report in reports)

    with monkeypatch.context() as patch:
        patch.setattr(files, "os", disk)
        patch.setattr(SweepWriter, "writing_epoch", write_and_count)
        sweep(folder, **scenario)
    disk.assert_complete()
    return disk


def events_of(folder: Path) -> dict[str, Any]:
    """Return what TensorBoard shows of each run: tag to steps and values; times aside."""
    shown = {}
    for run in tables(folder)["runs"]:
        board = EventAccumulator(str(folder / run["run"]), size_guidance={"scalars": 0, "histograms": 0}).Reload()
        tags = [tag for tag in board.Tags()["scalars"] if not tag.endswith("duration")]
        shown[run["run"]] = {tag: [(event.step, repr(event.value)) for event in board.Scalars(tag)] for tag in tags}
        images = [tag for tag in board.Tags()["images"] if tag.startswith("evaluation_")]
        shown[run["run"]] |= {tag: [(e.step, e.encoded_image_string) for e in board.Images(tag)] for tag in images}
    return shown


def assert_goes_on(state: State, folder: Path, expected: tuple[Any, Any], total: int, **scenario: Any) -> None:
    state.put_into(folder)
    list(read_state(SweepPaths(folder).journal).runs)
    display = SilentDisplay()
    sweep(folder, display=display, **scenario)
    assert (untimed(folder), events_of(folder)) == expected, state.label
    assert len(display.records) <= total - state.committed, f"{state.label}: a finished epoch was lost"
    unused_files = [path.name for path in folder.rglob(".*.tmp")]
    assert not unused_files, state.label


def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, count: int, between: int) -> None:
    scenario = SCENARIOS[name]
    disk = crash_states(tmp_path / "whole", monkeypatch, between, **scenario)
    expected = untimed(tmp_path / "whole"), events_of(tmp_path / "whole")
    total = len(tables(tmp_path / "whole")["epochs"])
    states = list(disk.states.values())
    assert disk.calls > 50
    chosen = list(spread(states, count))
    for state in chosen:
        assert_goes_on(state, tmp_path / "crashed", expected, total, **scenario)
    print(f"{name}: {disk.calls} calls, {len(states)} different states, {len(chosen)} tried, failures 0")


@pytest.mark.parametrize("name", SCENARIOS)
def test_after_a_crash_at_some_of_the_calls_everything_is_as_if_nothing_had_happened(tmp_path, monkeypatch, name):
    check(tmp_path, monkeypatch, name, count=10, between=1)


@pytest.mark.faults
@pytest.mark.parametrize("name", SCENARIOS)
def test_after_a_crash_at_any_call_everything_is_as_if_nothing_had_happened(tmp_path, monkeypatch, name):
    check(tmp_path, monkeypatch, name, count=10**6, between=2)


def crash_in_a_resume(tmp_path, monkeypatch, first: int, second: int) -> None:
    disk = crash_states(tmp_path / "whole", monkeypatch, 1, **TOGETHER)
    expected = untimed(tmp_path / "whole"), events_of(tmp_path / "whole")
    for state in spread(list(disk.states.values()), first):
        resumed = tmp_path / "resumed"
        state.put_into(resumed)
        again = crash_states(resumed, monkeypatch, 1, **TOGETHER)
        for crashed in spread(list(again.states.values()), second):
            assert_goes_on(crashed, tmp_path / "crashed", expected, disk.committed, **TOGETHER)


def test_a_crash_in_a_resume_changes_nothing_either(tmp_path, monkeypatch):
    crash_in_a_resume(tmp_path, monkeypatch, first=3, second=3)


@pytest.mark.faults
def test_many_crashes_in_a_resume_change_nothing_either(tmp_path, monkeypatch):
    crash_in_a_resume(tmp_path, monkeypatch, first=12, second=40)


def crash_in_fresh(tmp_path, monkeypatch, count: int) -> None:
    folder = tmp_path / "whole"
    sweep(folder, **ALONE)
    expected = untimed(folder), events_of(folder)
    total = len(tables(folder)["epochs"])
    disk = CrashDisk(folder)
    with monkeypatch.context() as patch:
        patch.setattr(files, "os", disk)
        clear_sweep(SweepPaths(folder))
    disk.assert_complete()
    for state in spread(list(disk.states.values()), count):
        crashed = tmp_path / "crashed"
        state.put_into(crashed)
        clear_sweep(SweepPaths(crashed))
        assert_goes_on(
            State(state.label, frozenset(), ((Path("journal.jsonl"), b""),), 0), crashed, expected, total, **ALONE
        )


def test_a_crash_while_a_sweep_is_thrown_away_leaves_nothing_behind(tmp_path, monkeypatch):
    crash_in_fresh(tmp_path, monkeypatch, count=5)


@pytest.mark.faults
def test_any_crash_while_a_sweep_is_thrown_away_leaves_nothing_behind(tmp_path, monkeypatch):
    crash_in_fresh(tmp_path, monkeypatch, count=10**6)


def test_a_process_that_is_killed_leaves_what_the_model_says(tmp_path, monkeypatch):
    """The real thing, at some calls: a child that ends without a word, whatever it was doing."""
    disk = crash_states(tmp_path / "whole", monkeypatch, 0, **ALONE)
    expected = untimed(tmp_path / "whole"), events_of(tmp_path / "whole")
    for call in range(3, disk.calls, disk.calls // 4):
        folder = tmp_path / f"killed-{call}"
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            try:
                deadly = CrashDisk(folder, between=0)
                keep = deadly._keep_states

                def kill(what, deadly=deadly, keep=keep, call=call):
                    keep(what)
                    if deadly.calls == call:
                        os._exit(9)

                deadly._keep_states = kill  # type: ignore[method-assign]
                files.os = deadly  # type: ignore[assignment]
                sweep(folder, **ALONE)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        sweep(folder, **ALONE)
        assert (untimed(folder), events_of(folder)) == expected
        shutil.rmtree(folder)
