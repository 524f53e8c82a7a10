"""Run a program and say what it and all its descendants took: wall time, CPU time, memory.

On Linux this process adopts the orphans of what it starts (PR_SET_CHILD_SUBREAPER), so that daemons, such as Ray's, are
found while they live, waited for when they end, and ended when the program has ended. Memory is the largest sum of
their proportional set sizes (PSS: a page that n processes share counts 1/n in each), looked at twice a second. CPU time
is what the system counted of all that were waited for, or the sum of what was last seen of each, if that is more:
daemons do not always wait for their children.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # from linux/prctl.h
_LOOK_EVERY_S = 0.5
_IS_LINUX = sys.platform.startswith("linux")


@dataclass(frozen=True)
class Usage:
    """What a program took, its descendants included."""

    output: str
    wall_s: float
    cpu_s: float
    peak_bytes: int


class ProgramError(Exception):
    """A program ended with an error; the message is the end of what it said."""


def run_measured(
    command: list[str], log: Path, environment: Mapping[str, str] | None = None, timeout_s: float | None = None
) -> Usage:
    """Run a program to its end.

    Args:
        log: where its stderr goes.
        environment: variables beside those of this process.

    Raises:
        ProgramError: it ended with an error, or after its time.
    """
    _adopt_orphans()
    cpu_before = _cpu_of_children()
    start = time.perf_counter()
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **(environment or {})}
        )
        watcher = _Watcher(process.pid)
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            raise ProgramError(f"ended after {timeout_s:.0f} s; see {log}") from None
        finally:
            wall_s = time.perf_counter() - start
            peak_bytes, seen_cpu_s = watcher.stop()
            _end_descendants()
    if process.returncode:
        raise ProgramError(f"exit code {process.returncode}: {log.read_text(encoding='utf-8')[-2000:]}")
    return Usage(output, wall_s, max(_cpu_of_children() - cpu_before, seen_cpu_s), peak_bytes)


def run_until(is_reached: Callable[[], bool], command: list[str], log: Path, limit_s: float) -> float | None:
    """Run a program until something is reached, and end it then.

    Returns:
        Seconds from its start until then; None if it ended, or its time did, before.

    Raises:
        ProgramError: it ended with an error.
    """
    _adopt_orphans()
    start = time.perf_counter()
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(command, stdout=errors, stderr=errors, env=os.environ)
        try:
            while (seconds := time.perf_counter() - start) < limit_s:
                has_ended = process.poll() is not None
                if is_reached():
                    return seconds
                if has_ended:
                    break
                time.sleep(0.25)
            else:
                return None
        finally:
            if process.returncode is None:
                process.terminate()
            _end_descendants()
    if process.returncode:
        raise ProgramError(f"exit code {process.returncode}: {log.read_text(encoding='utf-8')[-2000:]}")
    return None


def _adopt_orphans() -> None:
    if _IS_LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _cpu_of_children() -> float:
    """Return user and system time of all children that have ended and were waited for, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _end_descendants() -> None:
    """End whatever is left of a program, wait for all of it."""
    deadline = time.monotonic() + 10
    while left := list(_descendants(os.getpid())):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if time.monotonic() < deadline - 5 else signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if time.monotonic() > deadline:
            return
        time.sleep(0.1)


def _descendants(pid: int) -> Iterator[int]:
    """Yield the processes below one, as far as the system tells."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, children.read_text().split()):
                yield child
                yield from _descendants(child)


class _Watcher:
    """Looks at memory and CPU time of this process's descendants until it is stopped."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._cpu_s: dict[int, float] = {}  # by process
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> tuple[int, float]:
        """Return the largest sum of memory and the CPU time.

        Where the system tells no sum, it is the largest resident set of one process.
        """
        self._ended.set()
        self._thread.join()
        largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1024 if _IS_LINUX else 1)
        return self._peak or largest, sum(self._cpu_s.values())

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            pids = list(_descendants(os.getpid()))
            self._peak = max(self._peak, sum(map(_pss, pids)))
            self._cpu_s.update((pid, seconds) for pid in pids if (seconds := _cpu_s(pid)) is not None)


def _cpu_s(pid: int) -> float | None:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, see proc(5)
    return None


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0
