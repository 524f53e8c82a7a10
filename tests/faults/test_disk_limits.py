"""A disk that is full, read-only or gone: one clear error, nothing damaged, and the same command goes on later."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from folder_checks import figures, kept_epochs, lost_epochs, unreadable_files
from small_sweeps import SilentDisplay
from sweep_processes import SweepToRun, run_limited

from cnnsweep.config.load import parse_sweep
from cnnsweep.errors import FolderError
from cnnsweep.storage.state import read_state
from cnnsweep.sweep import run_sweep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits and mounts are POSIX's")

PLAIN = """
name: limited
dataset: {name: shapes, size: 12, classes: 3, train: 60, test: 30}
model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8], dropout: 0.2}
params:
  lr: [0.01, 0.001]
  batch_size: 16
  epochs: 2
tensorboard: false
"""
WITH_BOARD = PLAIN.replace("tensorboard: false", "tensorboard: {graph: false}")

KINDS = {
    "alone": SweepToRun(PLAIN),
    "together": SweepToRun(PLAIN, fuse=2),
    "with TensorBoard": SweepToRun(WITH_BOARD),
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, kind):
    folder = tmp_path_factory.mktemp("whole") / "sweep"
    assert run_limited(kind, folder).error is None
    return folder


def sizes(folder):
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def assert_goes_on(kind, folder, whole, ending):
    """Assert that what stopped a sweep is said clearly, damaged nothing, and that the sweep ends once there is room."""
    if ending.error is not None:
        assert ending.is_expected, ending.error
        assert str(folder) in ending.error
        assert "free some space" in ending.error
    assert unreadable_files(folder) == []
    journal = folder / "journal.jsonl"
    kept = kept_epochs(folder, read_state(journal))
    again = run_limited(kind, folder)
    assert again.error is None
    assert not [message for message in again.messages if "damaged" in message]
    assert lost_epochs(kept, read_state(journal)) == []
    assert figures(folder) == figures(whole)


def limit_file_size(kind, whole, folder, limit):
    ending = run_limited(kind, folder, limit)
    assert_goes_on(kind, folder, whole, ending)
    return ending


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_full_disk_is_said_and_the_sweep_goes_on_when_there_is_room(kind, whole, tmp_path, share):
    largest = max(size for path, size in sizes(whole).items() if "tfevents" not in path.name)
    ending = limit_file_size(kind, whole, tmp_path / "sweep", int(largest * share))
    assert ending.error is not None


@pytest.mark.faults
def test_a_full_disk_at_any_size_damages_nothing(kind, whole, tmp_path, capsys):
    largest = max(sizes(whole).values())
    small = [size for size in sizes(whole).values() if size]
    near = {size + shift for size in small for shift in (-1, 0)}
    limits = sorted({*range(0, 3000, 300), *range(3000, largest, 1500), *near, largest, largest + 1000})
    errors = 0
    for limit in limits:
        errors += limit_file_size(kind, whole, tmp_path / str(limit), limit).error is not None
    with capsys.disabled():
        print(f"\nlimits on file sizes: {len(limits)} from 0 to {limits[-1]}, {errors} stopped, all went on")
    assert 0 < errors < len(limits)


def test_tensorboard_that_cannot_write_is_one_warning(whole, kind, tmp_path):
    if kind is not KINDS["with TensorBoard"]:
        pytest.skip("it writes no events")
    others = [size for path, size in sizes(whole).items() if "tfevents" not in path.name]
    ending = run_limited(kind, tmp_path / "sweep", max(others) + 2000)
    assert ending.error is None
    warning, *others = ending.messages
    assert warning.startswith("TensorBoard: cannot write")
    # The evaluation's events have pictures: they are too large as well, and it is not recorded without them.
    assert [message[:29] for message in others] == ["the best run was not measured"]
    assert figures(tmp_path / "sweep") == {**figures(whole), "evaluations": {}}


@contextmanager
def mounted(place, *arguments):
    """Mount something for a while; skip the test where that is not allowed."""
    place.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *arguments, str(place)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this user may not mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def remount(place, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


@pytest.mark.faults
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_small_disk_of_any_size_damages_nothing(kind, whole, tmp_path, capsys):
    needed = sum(-(-size // 4096) * 4 for size in sizes(whole).values())
    done = errors = 0
    for kilobytes in [*range(4, needed, 12), 4 * needed]:  # temporary files need room too
        disk = tmp_path / "disk"
        with mounted(disk, "-t", "tmpfs", "-o", f"size={kilobytes}k", "none"):
            ending = run_limited(kind, disk / "sweep")
            remount(disk, "size=50m")
            assert_goes_on(kind, disk / "sweep", whole, ending)
        done += 1
        errors += ending.error is not None
    with capsys.disabled():
        print(f"\nsmall disks: {done} from 4 to {needed} KB, {errors} stopped, all went on")
    assert 0 < errors < done


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_read_only_folder_is_an_error_before_anything_trains(tmp_path):
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "none"):
        remount(disk, "ro")
        display = SilentDisplay()
        with pytest.raises(FolderError, match="Read-only") as caught:
            run_sweep(parse_sweep(PLAIN, "sweep.yaml"), SweepToRun(PLAIN).options(disk / "sweep"), [display])
        assert str(disk / "sweep") in str(caught.value)
        assert display.started == []


class Spoiling(SilentDisplay):
    """Does something after the first epoch."""

    def __init__(self, spoil):
        super().__init__()
        self._spoil = spoil

    def epoch_ended(self, record, selected):
        super().epoch_ended(record, selected)
        if len(self.records) == 1:
            self._spoil()


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
def test_a_sweep_whose_folder_became_read_only_goes_on_when_it_can_be_written_again(whole, kind, tmp_path):
    disk = tmp_path / "disk"
    with mounted(disk, "-t", "tmpfs", "none"):
        folder = disk / "sweep"
        options, spec = kind.options(folder), parse_sweep(kind.text, "sweep.yaml")
        stopped = run_sweep(spec, options, [Spoiling(lambda: os.kill(os.getpid(), signal.SIGTERM))])
        assert stopped.interrupted == 143
        remount(disk, "ro")
        display = SilentDisplay()
        with pytest.raises(FolderError, match="Read-only") as caught:
            run_sweep(spec, options, [display])
        assert str(folder) in str(caught.value)
        assert display.started == []
        remount(disk, "rw")
        run_sweep(spec, options, [display])
        assert 0 < len(display.records) < 4
        assert figures(folder) == figures(whole)


def test_a_folder_that_vanishes_is_an_error_and_can_be_made_again(whole, kind, tmp_path):
    folder = tmp_path / "sweep"
    options = kind.options(folder)
    with pytest.raises(FolderError) as caught:
        run_sweep(parse_sweep(kind.text, "sweep.yaml"), options, [Spoiling(lambda: shutil.rmtree(folder))])
    assert str(folder) in str(caught.value)
    assert "check that the folder is there" in str(caught.value)
    run_sweep(parse_sweep(kind.text, "sweep.yaml"), options, [SilentDisplay()])
    assert figures(folder) == figures(whole)


def test_the_command_line_says_a_full_disk_in_one_line(tmp_path):
    file = tmp_path / "sweep.yaml"
    file.write_text(PLAIN)
    command = [sys.executable, "-m", "cnnsweep", "run", str(file), "--out", str(tmp_path / "sweep"), "--fuse", "off"]
    limited = ["sh", "-c", f"ulimit -f 2; exec {' '.join(command)}"]  # blocks of 512 or 1024 bytes
    done = subprocess.run(limited, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
