"""What commands import is counted instead of timed, in processes of their own.

Modules of the standard library are left out, since their number differs over versions of Python. The others were
counted with torch 2.15 and what else was current then; a sixth more is allowed, since the packages that we use grow
too. What is heavy is named, and its absence exact.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_sweeps import SMALL, sweep

HEAVY = ("torch", "torchvision", "numpy", "pandas", "scipy", "tensorboard", "matplotlib", "optuna", "ray")
COUNT = """
import gc, json, sys, threading
from cnnsweep.cli import main
whole = []
gc.callbacks.append(lambda phase, info: whole.append(1) if (phase, info["generation"]) == ("stop", 2) else None)
sys.argv = ["cnnsweep", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
others = sorted(name for name in sys.modules if name.partition(".")[0] not in sys.stdlib_module_names)
print(json.dumps({"modules": others, "whole": whole, "threads": [thread.name for thread in threading.enumerate()]}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("start-up")
    (folder / "small.yaml").write_text(SMALL)
    sweep(folder / "small")
    return folder


def after(folder: Path, *command: str) -> dict[str, list[str]]:
    """Return what there is in the process of a command when it has done its work."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COUNT, *command],
        cwd=folder, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def roots(modules: list[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize(
    ("command", "counted"),
    [
        (["--help"], 49),
        (["report", "small"], 346),
        (["run", "small.yaml", "--dry-run"], 235),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_commands_that_do_not_train_import_little(folder, command, counted):
    modules = after(folder, *command)["modules"]
    assert not roots(modules) & {*HEAVY}
    assert len(modules) <= counted * 7 / 6, len(modules)


def test_training_imports_neither_the_compiler_nor_what_it_does_not_use(folder):
    """torch's compiler alone is a thousand modules, and as many milliseconds."""
    found = after(folder, "run", "small.yaml", "--out", "trained", "--fuse", "2")
    assert "torch._dynamo" not in found["modules"]
    unused = {"torchvision", "scipy", "matplotlib", "plotly", "optuna", "ray", "onnx"}
    assert not roots(found["modules"]) & unused
    assert len(found["modules"]) <= 1857 * 7 / 6
    assert not found["whole"]  # searches for garbage among everything there is: 0.13 s each
    # torch.fx starts tqdm's where that is installed, which is not by us; it sleeps.
    assert {*found["threads"]} <= {"MainThread", "tqdm_monitor"}
