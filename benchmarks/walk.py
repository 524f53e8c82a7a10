"""Depth of the call stack over a training step, and Python calls for the report of an epoch.

Trains a tiny sweep (2 runs, 2 epochs, one thread, each run alone) and prints the frames of cnnsweep from `run_sweep` to
the optimizer's step, and the calls of Python functions in cnnsweep between the trainer's report of an epoch and the
answer. It uses nothing but the public API, so it measures an earlier state as well:

    git worktree add ../earlier <commit>
    PYTHONPATH=../earlier python benchmarks/walk.py
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

import cnnsweep

PACKAGE = Path(cnnsweep.__file__).parent
REPORTS = ("epoch_ended", "on_epoch_end")  # names of the trainer's report, by age
SWEEP = {
    "name": "walk",
    "dataset": {"name": "shapes", "size": 12, "classes": 3, "train": 60, "test": 30},
    "model": {"name": "cnn", "channels": [4], "kernel_size": 3, "hidden": [8]},
    "params": {"lr": [0.01, 0.001], "batch_size": 16, "epochs": 2},
}


def module_of(code: CodeType) -> str | None:
    """Return the module of a function in cnnsweep, as a path in the package; None for other functions."""
    path = Path(code.co_filename)
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else None


class Stack:
    """The frames of cnnsweep from `run_sweep` to the optimizer's first step."""

    def __init__(self) -> None:
        self.frames: list[str] = []

    def look(self, *_: Any) -> None:
        """Keep the stack of the first step."""
        if self.frames:
            return
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if (module := module_of(frame.f_code)) is not None:
                self.frames.append(f"{module}:{frame.f_code.co_name}")
            if frame.f_code.co_name == "run_sweep":
                break
            frame = frame.f_back
        self.frames.reverse()


class Calls:
    """Calls of functions in cnnsweep during each report of an epoch, which `sys.setprofile` gives."""

    def __init__(self) -> None:
        self.reports: list[list[tuple[str, str]]] = []
        self._inside: FrameType | None = None

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call" and self._inside is None and self._is_report(frame):
            self._inside = frame
            self.reports.append([])
        if event == "call" and self._inside is not None and (module := module_of(frame.f_code)) is not None:
            self.reports[-1].append((module, frame.f_code.co_name))
        if event == "return" and frame is self._inside:
            self._inside = None

    def _is_report(self, frame: FrameType) -> bool:
        caller = frame.f_back
        is_trainers = caller is not None and module_of(caller.f_code) == "training/trainer.py"
        return is_trainers and frame.f_code.co_name in REPORTS


def measure() -> dict[str, Any]:
    """Train the sweep twice: once for the stack, once under the profiler."""
    torch.set_num_threads(1)
    stack, calls = Stack(), Calls()
    with tempfile.TemporaryDirectory() as folder:
        handle = register_optimizer_step_pre_hook(stack.look)
        cnnsweep.run(SWEEP, folder=Path(folder) / "stack", fuse="off", jobs=1, threads=1, quiet=True)
        handle.remove()
        sys.setprofile(calls)
        try:
            cnnsweep.run(SWEEP, folder=Path(folder) / "calls", fuse="off", jobs=1, threads=1, quiet=True)
        finally:
            sys.setprofile(None)
    last = calls.reports[-1]  # imports and first uses are over
    modules = [module for module, _ in last]
    return {
        "frames": stack.frames,
        "calls": len(last),
        "calls_of_each_report": [len(report) for report in calls.reports],
        "modules": len(set(modules)),
        "moves": sum(one != other for one, other in itertools.pairwise(modules)),
        "calls_by_module": dict(Counter(modules).most_common()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true", help="Print everything as JSON.")
    found = measure()
    if parser.parse_args().json:
        print(json.dumps(found, indent=2))
        return
    print(f"{len(found['frames'])} frames from run_sweep to the optimizer's step:")
    print("\n".join(f"  {frame}" for frame in found["frames"]))
    print(f"{found['calls']} calls in {found['modules']} modules for one epoch's report, {found['moves']} moves:")
    print("\n".join(f"  {count:4} {module}" for module, count in found["calls_by_module"].items()))


if __name__ == "__main__":
    main()
