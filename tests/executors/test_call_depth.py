"""Few frames lie between an executor and a training step: tracebacks and profiles stay short."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from small_sweeps import sweep

import cnnsweep
from cnnsweep.optimizers.fused_step import RunOptimizer

PACKAGE = Path(cnnsweep.__file__).parent


def frames_of_a_step(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[str]:
    """Train a sweep; return the package's functions on the stack at the optimizer's first step, outermost first."""
    stacks: list[list[str]] = []
    step = RunOptimizer.step

    def traced(*arguments: object) -> None:
        frame, names = sys._getframe(1), []
        while frame is not None:
            if Path(frame.f_code.co_filename).is_relative_to(PACKAGE):
                names.append(frame.f_code.co_name)
            frame = frame.f_back
        stacks.append(names[::-1])
        step(*arguments)

    monkeypatch.setattr(RunOptimizer, "step", traced)
    sweep(folder, overrides=["params.lr=0.01", "params.epochs=1"])
    return stacks[0]


def test_at_most_four_frames_from_execute_to_train_step(monkeypatch, tmp_path):
    names = frames_of_a_step(monkeypatch, tmp_path / "s")
    of_execution = names[names.index("execute") :]
    assert of_execution[-1] == "train_step"
    assert len(of_execution) <= 4, of_execution


def test_at_most_eight_frames_from_run_sweep_to_the_optimizers_step(monkeypatch, tmp_path):
    names = frames_of_a_step(monkeypatch, tmp_path / "s")
    assert len(names[names.index("run_sweep") :]) + 1 <= 8, names  # and the step itself
