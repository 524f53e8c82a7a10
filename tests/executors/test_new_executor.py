"""An executor from outside the package: a class in a file of one's own, or an entry point of another package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from small_sweeps import SMALL, sweep

import cnnsweep
from cnnsweep.errors import UsageError
from cnnsweep.executors.options import ExecutorOptions
from cnnsweep.types import RunStatus

BACKWARDS = '''
from pathlib import Path

from cnnsweep.executors.base import ExecutorConfig


class Backwards(ExecutorConfig):
    """Trains the last group first, and writes down its calls."""

    calls: str = "calls.txt"

    def make(self, setup):
        return BackwardsExecutor(setup, Path(self.calls))


class BackwardsExecutor:
    slots = 1

    def __init__(self, setup, calls):
        from cnnsweep.executors.inline import InProcessExecutor

        self._inner, self._calls = InProcessExecutor(setup.task), calls
        self._write("made", setup.slots[0].device, *setup.code)

    def call(self, function, *arguments):
        return self._inner.call(function, *arguments)

    def execute(self, jobs, callback):
        self._write("execute", str(len(jobs)))
        self._inner.execute(list(jobs)[::-1], callback)

    def close(self):
        self._write("close")

    def _write(self, *words):
        with self._calls.open("a") as log:
            log.write(" ".join(words) + "\\n")
'''

NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, in_channels, num_classes, image_size):
        super().__init__(nn.Flatten(), nn.Linear(in_channels * image_size[0] * image_size[1], num_classes))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "backwards.py").write_text(BACKWARDS)
    return tmp_path / "backwards.py"


def calls(folder: Path) -> list[str]:
    return (folder / "calls.txt").read_text().splitlines()


def test_an_executor_in_a_file_of_ones_own_trains_a_sweep(tmp_path: Path, file: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = f"{tmp_path / 'net.py'}:Net"
    (tmp_path / "net.py").write_text(NET)
    text = SMALL.replace(
        "model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8], dropout: 0.2}", f"model: {net}"
    )
    result = sweep(tmp_path / "s", text, executor_options=ExecutorOptions(executor=f"{file}:Backwards"), fuse="off")
    assert set(result.statuses.values()) == {RunStatus.FINISHED}
    made, execute, *closes = calls(tmp_path)
    assert (made, execute) == (f"made cpu {net}", "execute 2")
    assert set(closes) == {"close"}


def test_the_python_interface_takes_it_too(tmp_path: Path, file: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained = cnnsweep.run(SMALL, folder=tmp_path / "s", executor=f"{file}:Backwards", fuse="off", quiet=True)
    assert list(trained.runs["status"]) == ["finished", "finished"]
    assert calls(tmp_path)[1] == "execute 2"


def test_an_executor_of_another_package_is_found_by_its_entry_point(tmp_path: Path, file: Path):
    package = tmp_path / "site"
    info = package / "backwards-1.dist-info"
    info.mkdir(parents=True)
    file.rename(package / "backwards.py")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: backwards\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[cnnsweep.executors]\nbackwards = backwards:Backwards\n")
    (tmp_path / "s.yaml").write_text(SMALL)
    done = subprocess.run(
        [sys.executable, "-m", "cnnsweep", "run", "s.yaml", "--executor", "backwards", "--fuse", "off", "--quiet"],
        env={"PYTHONPATH": f"{package}:{Path(__file__).parent.parent.parent}", "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert calls(tmp_path)[1] == "execute 2"


def test_an_unknown_executor_is_named_with_those_that_there_are():
    with pytest.raises(UsageError, match=r"executor: found 'slurm', allowed are inline, local, ray, and your own as"):
        cnnsweep.run(SMALL, executor="slurm")


def test_a_class_that_is_no_executor_is_refused(tmp_path: Path):
    (tmp_path / "other.py").write_text("class Stone:\n    pass\n")
    with pytest.raises(UsageError, match=r"executor .*Stone.*allowed is a subclass of .*ExecutorConfig"):
        sweep(tmp_path / "s", executor_options=ExecutorOptions(executor=f"{tmp_path / 'other.py'}:Stone"))


def test_options_import_no_torch():
    code = "import sys, cnnsweep.executors.base, cnnsweep.executors.local, cnnsweep.executors.ray; "
    done = subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=False)
    assert done.returncode == 0
