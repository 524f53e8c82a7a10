"""Finds the worker processes of a sweep, and what they and their parent hold."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

PROC = Path("/proc")
PATIENCE_S = 120.0


def workers_of(parent: int) -> list[int]:
    """Return the worker processes that a process has now."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit() and _parent_of(entry) == parent and _is_worker(entry):
            found.append(int(entry.name))
    return sorted(found)


def is_alive(process: int) -> bool:
    """True for a process that runs; one that has ended and that nobody has asked about yet does not."""
    try:
        return _state(PROC / str(process)) not in ("Z", "X")
    except OSError:
        return False


def wait_until(is_so: Callable[[], object], seconds: float = PATIENCE_S) -> bool:
    """Wait for something; return whether it came to be in time."""
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def all_gone(processes: list[int], seconds: float = 2.0) -> bool:
    return wait_until(lambda: not any(map(is_alive, processes)), seconds)


def proportional_bytes(process: int) -> int:
    """Return a process's memory, of what it shares its part; without libraries, which others may share too."""
    lines = (PROC / str(process) / "smaps_rollup").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def _state(entry: Path) -> str:
    return (entry / "stat").read_text().rpartition(")")[2].split()[0]


def _parent_of(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _is_worker(entry: Path) -> bool:
    try:
        return b"cnnsweep.executors.local_worker" in (entry / "cmdline").read_bytes()
    except OSError:
        return False
