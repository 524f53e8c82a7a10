"""Environment of a sweep: enough to explain later why two sweeps differ."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PACKAGES = ("cnnsweep", "torch", "torchvision", "numpy", "pandas", "tensorboard", "safetensors", "pillow")


def describe_environment() -> dict[str, Any]:
    """Return versions, processor, command line and git commit, as plain JSON values."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "host": platform.node(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "folder": str(Path.cwd()),
        "git": _git_state(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _git_state() -> Mapping[str, Any] | None:
    """Return commit and cleanliness of the current folder's repository, or None outside of one."""
    commit = _git("rev-parse", "HEAD")
    return None if commit is None else {"commit": commit, "modified": bool(_git("status", "--porcelain", "-uno"))}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, no repository: nothing to record
        return None
    return done.stdout.strip()
