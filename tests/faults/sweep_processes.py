"""Sweeps in processes of their own, which can be killed and limited.

Processes are forked from one that has imported everything and done nothing else: it has one thread, so a fork of it is
as good as a fresh process, and takes a tenth of a second instead of several.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from small_sweeps import SilentDisplay

from cnnsweep.config.load import parse_sweep
from cnnsweep.errors import FolderError
from cnnsweep.sweep import SweepOptions, run_sweep

PATIENCE_S = 300.0

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        *("cnnsweep.sweep", "cnnsweep.analysis.results", "optuna", "scipy.stats", "pandas"),
        # torch's optimizers import _dynamo when they are made, TensorBoard's pictures Pillow: several seconds together.
        *("torch._dynamo", "torch.utils.tensorboard", "PIL.PngImagePlugin"),
    ]
)


@dataclass(frozen=True)
class SweepToRun:
    """A sweep for a process of its own: its file's text, how its runs train together, where its data lie."""

    text: str
    fuse: str | int = "off"
    data_root: Path = Path()

    def options(self, folder: Path) -> SweepOptions:
        return SweepOptions(folder, self.data_root, fuse=self.fuse)

    def forked(self, folder: Path) -> Any:
        """Start it in a forked process."""
        process = _FORKS.Process(target=_train, args=(self, folder))
        process.start()
        return process

    def command(self, folder: Path) -> CommandLine:
        """Start it as a person does."""
        return CommandLine(self, folder)


def _train(sweep: SweepToRun, folder: Path) -> None:
    gc.freeze()  # what was imported before the fork is never collected: its pages stay shared
    spec = parse_sweep(sweep.text, "sweep.yaml")
    run_sweep(spec, sweep.options(folder), [SilentDisplay()])


@dataclass(frozen=True)
class Ending:
    """How a sweep ended: the error that stopped it, if any, and what it had said."""

    error: str | None
    is_expected: bool
    messages: tuple[str, ...]


def run_limited(sweep: SweepToRun, folder: Path, largest_file: int | None = None) -> Ending:
    """Run a sweep in a forked process that can write no file larger than some bytes."""
    here, there = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_run_limited, args=(sweep, folder, largest_file, there))
    process.start()
    there.close()
    assert here.poll(PATIENCE_S), "the sweep does not end"
    ending: Ending = here.recv()
    here.close()
    process.join()
    process.close()
    return ending


def _run_limited(sweep: SweepToRun, folder: Path, largest_file: int | None, answer: Any) -> None:
    gc.freeze()
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    display = SilentDisplay()
    error: BaseException | None = None
    try:
        run_sweep(parse_sweep(sweep.text, "sweep.yaml"), sweep.options(folder), [display])
    except BaseException as caught:
        error = caught
    text = None if error is None else "".join(traceback.format_exception_only(error)).strip()
    answer.send(Ending(text, isinstance(error, FolderError), tuple(display.messages)))


class CommandLine:
    """`cnnsweep run` as a process that is asked the same as a forked one."""

    def __init__(self, sweep: SweepToRun, folder: Path) -> None:
        file = folder.with_suffix(".yaml")
        file.write_text(sweep.text)
        options = ["--out", str(folder), "--data-root", str(sweep.data_root), "--fuse", str(sweep.fuse), "--quiet"]
        self._process = subprocess.Popen([sys.executable, "-m", "cnnsweep", "run", str(file), *options])
        self.kill = self._process.kill

    @property
    def exitcode(self) -> int | None:
        return self._process.poll()

    def join(self, timeout: float | None = None) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)

    def close(self) -> None:
        self._process.wait()


Start = Callable[[Path], Any]


def run_whole(start: Start, folder: Path) -> float:
    """Run a sweep to its end; return the seconds it took."""
    begin = time.monotonic()
    process = start(folder)
    process.join(PATIENCE_S)
    assert process.exitcode == 0, f"exit code {process.exitcode}"
    process.close()
    return time.monotonic() - begin
