"""Free memory of the machine, and byte counts as text."""

import os
from pathlib import Path


def free_memory_bytes() -> int:
    """Return the number of free bytes of the machine's memory, or of its container."""
    return int(min(_free_bytes(), _control_group_bytes()))


def gigabytes(count: int) -> str:
    """Return a count of bytes as text."""
    return f"{count / 1e9:.1f} GB"


def _free_bytes() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    # Installed rather than free memory, where the system does not tell how much of it could be freed.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 4 << 30


def _control_group_bytes() -> float:
    """Return what a container may still take (Linux control groups, version 2), or infinity without a limit."""
    folder = Path("/sys/fs/cgroup")
    try:
        return int((folder / "memory.max").read_text(encoding="ascii")) - int((folder / "memory.current").read_text())
    except (OSError, ValueError):  # no control groups, or the limit is "max"
        return float("inf")
