"""Workers and their parent killed, stopped and interrupted: no epoch more than those in flight is trained again.

Nobody is left behind, and in the end the results are those of a sweep that nothing happened to.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_sweeps import SilentDisplay, sweep, tables, untimed
from terminal_program import TerminalProgram, environment
from worker_processes import PROC, all_gone, open_descriptors, proportional_bytes, wait_until, workers_of

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.errors import ExecutionError
from cnnsweep.executors import local_processes as processes
from cnnsweep.executors.base import TASK
from cnnsweep.executors.local_processes import LocalWorkers
from cnnsweep.executors.options import ExecutorOptions
from cnnsweep.executors.pool import PoolExecutor
from cnnsweep.planning.scheduling import Slot
from cnnsweep.training.data_module import DataModule, FoldData
from cnnsweep.training.malloc import keep_freed_memory
from cnnsweep.types import RunStatus

pytestmark = pytest.mark.skipif(not PROC.is_dir(), reason="processes are looked up in /proc")

HERE, TWO = ExecutorOptions(jobs=1, threads=1), ExecutorOptions(jobs=2, threads=1)
EPOCHS, STEPS = 6, 4

# Each training step leaves the number of its process: nobody trains in secret.
NET = """
import ctypes, os, time
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, num_classes, image_size, fault=""):
        super().__init__()
        self.fault, self.calls = fault, 0
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size[0] * image_size[1], num_classes))

    def forward(self, x):
        self.calls += 1
        if self.training and torch.is_grad_enabled() and len(x) > 2:  # no look at the network
            with open(os.path.join(os.path.dirname(__file__), "steps"), "a") as file:
                file.write(f"{os.getpid()} ")
            time.sleep(float(os.environ.get("PAUSE", "0")))
            if self.fault == "segfault" and self.calls > 1:
                ctypes.string_at(0)
            if self.fault == "exit" and self.calls > 1:
                os._exit(3)
        return self.layers(x)
"""
SWEEP = f"""
name: killed
dataset: {{name: shapes, size: 12, classes: 3, train: 60, test: 6}}
model: net.py:Net
params:
  lr: [0.01, 0.003, 0.001]
  batch_size: 16
  epochs: {EPOCHS}
tensorboard: false
"""
HOW = ("--jobs", "2", "--threads", "1", "--fuse", "off", "--out", "out")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, Any]:
    """The figures of a sweep that nothing happens to."""
    folder = tmp_path_factory.mktemp("whole")
    with in_folder(folder):
        sweep(folder / "out", SWEEP, executor_options=HERE)
    return figures(folder / "out")


class in_folder:  # noqa: N801
    """Go to a folder with the model, whose name in the sweep file is thus the same everywhere."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "net.py").write_text(NET)
        (folder / "killed.yaml").write_text(SWEEP)

    def __enter__(self) -> None:
        self._before = Path.cwd()
        os.chdir(self._folder)

    def __exit__(self, *_: object) -> None:
        os.chdir(self._before)


@pytest.fixture
def folder(tmp_path):
    with in_folder(tmp_path):
        yield tmp_path


def figures(folder: Path) -> dict[str, Any]:
    """Return every figure and all best weights, without the header that names the folder of the person's model."""
    all_figures = untimed(folder)
    best = {run: content[8 + int.from_bytes(content[:8], "little") :] for run, content in all_figures["best"].items()}
    return {**all_figures, "best": best}


def steps(folder: Path) -> Counter[int]:
    """Return how many steps each process has trained."""
    file = folder / "steps"
    return Counter(map(int, file.read_text().split())) if file.exists() else Counter()


class Killer(threading.Thread):
    """Ends workers, one after the other, at random times after their first epochs.

    Args:
        end: how.
    """

    def __init__(self, folder: Path, most: int, seed: int, end: Callable[[int], None]) -> None:
        super().__init__(daemon=True)
        self.ended: list[int] = []
        self._folder = folder
        self._most, self._end, self._chance = most, end, random.Random(seed)
        self._is_over = threading.Event()

    def run(self) -> None:
        while len(self.ended) < self._most and not self._is_over.wait(self._chance.uniform(0, 0.5)):
            train = steps(self._folder)
            if training := [one for one in workers_of(os.getpid()) if one not in self.ended and train[one] > STEPS]:
                victim = self._chance.choice(training)
                self._end(victim)
                self.ended.append(victim)

    def __enter__(self) -> Killer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self.join()


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def stop_and_kill(process: int) -> None:
    os.kill(process, signal.SIGSTOP)
    time.sleep(0.3)
    os.kill(process, signal.SIGKILL)


def check_survives(folder: Path, whole: dict[str, Any], monkeypatch, most: int, end=kill, text: str = SWEEP) -> int:
    monkeypatch.setenv("PAUSE", "0.1")
    display = SilentDisplay()
    before = open_descriptors(), threading.active_count()
    with Killer(folder, most, seed=most, end=end) as killer:
        result = sweep(folder / "out", text, display, executor_options=TWO)
    assert killer.ended
    assert set(result.statuses.values()) == {RunStatus.FINISHED}
    assert figures(folder / "out") == whole
    lost = sum("was killed by SIGKILL; " in message for message in display.messages)
    assert lost <= len(killer.ended)
    needed = STEPS * len(tables(folder / "out")["epochs"])
    assert needed <= steps(folder).total() <= needed + lost * STEPS  # of each that was lost, the epoch in flight
    assert workers_of(os.getpid()) == []
    assert (open_descriptors(), threading.active_count()) == before
    return len(killer.ended)


def test_killed_workers_change_nothing(folder, whole, monkeypatch):
    check_survives(folder, whole, monkeypatch, most=2)


@pytest.mark.faults
def test_twenty_killed_workers_change_nothing_and_leave_nothing(folder, monkeypatch):
    text = SWEEP.replace(f"epochs: {EPOCHS}", "epochs: 30")
    sweep(folder / "whole", text, executor_options=HERE)
    (folder / "steps").unlink()
    assert check_survives(folder, figures(folder / "whole"), monkeypatch, 20, text=text) == 20


@pytest.mark.faults
def test_a_worker_that_is_stopped_and_then_killed_changes_nothing(folder, whole, monkeypatch):
    check_survives(folder, whole, monkeypatch, most=2, end=stop_and_kill)


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        ("segfault", "was killed by SIGSEGV"),
        pytest.param("exit", "exited with code 3", marks=pytest.mark.faults),
    ],
)
def test_a_model_that_ends_its_process_is_a_failed_run(folder, fault, how):
    text = SWEEP.replace("lr: [0.01, 0.003, 0.001]", f"lr: 0.01\n  model.fault: ['', {fault}]")
    result = sweep(folder / "out", text, executor_options=TWO)
    rows = {row["model.fault"]: row for row in tables(folder / "out")["runs"]}
    assert sorted(map(str, result.statuses.values())) == ["failed", "finished"]
    assert (rows[fault]["failure"], rows[""]["status"]) == ("killed", "finished")
    assert rows[fault]["cause"].startswith(f"3 workers were lost without an epoch in between, the last of them {how}")


def start_program(folder: Path, pause: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cnnsweep", "run", "killed.yaml", *HOW]
    where: dict[str, Any] = {"cwd": folder, "env": environment(PAUSE=pause), "start_new_session": True}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **where)


def check_goes_on(folder: Path, whole: dict[str, Any], executor_options: ExecutorOptions = HERE) -> None:
    assert sweep(folder / "out", SWEEP, executor_options=executor_options).interrupted is None
    assert figures(folder / "out") == whole


def test_workers_end_with_their_parent_in_the_middle_of_an_epoch(folder, whole):
    with start_program(folder, pause="0.5") as program:
        assert wait_until(lambda: steps(folder).total() >= 3 * STEPS)
        workers = workers_of(program.pid)
        assert len(workers) == 2
        program.kill()
        assert all_gone(workers)
    check_goes_on(folder, whole)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(4))
def test_a_parent_that_is_killed_at_any_time_leaves_nobody_and_goes_on(folder, whole, seed):
    with start_program(folder, pause="0.1") as program:
        assert wait_until((folder / "out" / "journal.jsonl").exists)
        time.sleep(random.Random(seed).uniform(0, 8))
        workers = workers_of(program.pid)
        program.kill()
        assert all_gone(workers)
    check_goes_on(folder, whole, TWO)


def run_in_terminal(folder: Path, pause: str) -> TerminalProgram:
    return TerminalProgram("run", "killed.yaml", *HOW, cwd=folder, PAUSE=pause, TERM="dumb")


def check_stopped(program: TerminalProgram, workers: list[int], code: int) -> None:
    assert program.wait() == code, program.output
    assert all_gone(workers, 1.0)
    assert "Traceback" not in program.output
    assert "KeyboardInterrupt" not in program.output
    assert program.final_settings() == program.params


def test_ctrl_c_reaches_all_processes_and_only_the_parent_acts(folder, whole):
    """A terminal sends it to everybody. Both epochs end and are saved; the third run has not begun."""
    with run_in_terminal(folder, pause="0.2") as program:
        program.wait_for("epoch 1/6", times=2)
        workers = workers_of(program.process.pid)
        program.press(b"\x03")
        check_stopped(program, workers, 130)
        assert "resume with: cnnsweep run killed.yaml" in program.output
        assert "was killed" not in program.output
    content = tables(folder / "out")
    assert content["sweep"]["status"] == "interrupted"
    assert all("in the middle" not in (row["cause"] or "") for row in content["runs"])
    assert steps(folder).total() == STEPS * len(content["epochs"])  # nothing was trained in vain
    check_goes_on(folder, whole)


@pytest.mark.faults
def test_ctrl_c_twice_ends_epochs_that_last_long(folder, whole):
    with run_in_terminal(folder, pause="5") as program:
        assert wait_until((folder / "steps").exists)
        workers = workers_of(program.process.pid)
        program.press(b"\x03")
        program.wait_for("once more (Ctrl-C) stops at once")
        program.press(b"\x03")
        began = time.monotonic()
        check_stopped(program, workers, 130)
        assert time.monotonic() - began < 4
    check_goes_on(folder, whole, TWO)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(3))
def test_ctrl_c_at_any_time_harms_no_worker_that_starts(folder, whole, seed):
    with run_in_terminal(folder, pause="0.1") as program:
        assert wait_until(lambda: workers_of(program.process.pid))
        time.sleep(random.Random(seed).uniform(0, 4))
        program.press(b"\x03")
        check_stopped(program, workers_of(program.process.pid), 130)
        assert "was killed" not in program.output
    check_goes_on(folder, whole)


@pytest.mark.faults
def test_sigterm_to_all_processes_saves_and_stops(folder, whole):
    with start_program(folder, pause="0.2") as program:
        assert wait_until(lambda: steps(folder).total() > 2 * STEPS)
        workers = workers_of(program.pid)
        os.killpg(program.pid, signal.SIGTERM)
        assert program.wait(60) == 143
        assert program.stderr is not None
        assert "Traceback" not in program.stderr.read()
        assert all_gone(workers)
    assert all("in the middle" not in (row["cause"] or "") for row in tables(folder / "out")["runs"])
    check_goes_on(folder, whole)


def test_workers_that_cannot_start_are_one_clear_error(folder, monkeypatch):
    display = SilentDisplay()
    monkeypatch.setattr(processes, "_PROGRAM", "print('some words')\nimport nothing_of_that_name")
    with pytest.raises(ExecutionError) as error:
        sweep(folder / "out", SWEEP, display, executor_options=TWO)
    assert "no worker can be started: worker process" in str(error.value)
    assert str(error.value).endswith("exited with code 1 (ModuleNotFoundError: No module named 'nothing_of_that_name')")
    assert error.value.exit_code == 1
    assert display.messages == []
    assert tables(folder / "out")["sweep"]["status"] == "interrupted"
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(ExecutionError, match="a worker process cannot be started: No such file or directory"):
        sweep(folder / "out", SWEEP, display, executor_options=TWO)
    assert workers_of(os.getpid()) == []


@pytest.mark.faults
def test_the_command_says_in_a_line_that_no_worker_starts(folder):
    start = "import sys; import cnnsweep.executors.local_processes as here; here._PROGRAM = 'import no_such_module'"
    call = f"sys.argv = ['cnnsweep', 'run', 'killed.yaml', *{HOW}]; from cnnsweep.__main__ import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", f"{start}; {call}"], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert "no worker can be started" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.faults
def test_a_script_needs_no_guard_and_no_main_thread(folder):
    spec = SWEEP.replace("0.003, ", "").replace(f"epochs: {EPOCHS}", "epochs: 1")
    (folder / "script.py").write_text(
        "import threading, cnnsweep\n"
        "print('once')\n"
        f"def train(): print(cnnsweep.run({spec!r}, folder='out', fuse='off', jobs=2, threads=1, quiet=True).status)\n"
        "thread = threading.Thread(target=train)\n"
        "thread.start()\n"
        "thread.join()\n"
        "train()\n"
    )
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, env=environment(), capture_output=True, text=True, timeout=120
    )
    assert ended.stdout.split() == ["once", "finished", "finished"], ended.stderr


def image_task(images: int) -> DataModule:
    pixels = torch.ones(images, 1, 100, 100, dtype=torch.uint8)
    part = FoldData(torch.arange(images), torch.arange(0), PixelNormalize((0.5,), (0.25,)))
    return DataModule(
        MemoryImages(pixels, torch.zeros(images, dtype=torch.int64)), (part,), 2, torch.device("cpu"), "fp32"
    )


def look_at_all(task: DataModule) -> int:
    """Touch every page of the images, without a copy of them."""
    return int(task.images.images.view(-1)[::1024].max())


@pytest.mark.faults
def test_images_count_once_however_many_workers_there_are():
    keep_freed_memory()  # as every sweep does
    sizes = {}
    for images in (1, 20_000):  # 200 MB
        task = image_task(images)
        executor = PoolExecutor(LocalWorkers([Slot("cpu", 1)] * 3, task))
        try:
            executor.call_everywhere(look_at_all, TASK)
            sizes[images] = sum(map(proportional_bytes, [os.getpid(), *workers_of(os.getpid())]))
        finally:
            executor.close()
        del task
    assert 180e6 < sizes[20_000] - sizes[1] < 260e6, sizes
