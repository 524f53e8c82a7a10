"""Counts what the write protocol asks of the operating system, by the kind of file."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any


class CountedCalls:
    """Stands in for `os` in `cnnsweep.storage.atomic_files`, as `crash_disk` does, and counts.

    Attributes:
        calls: by call and kind of file: `fsync journal`, `write last`, `fsync folder`, `stat lock`.
        written: bytes by kind of file.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.written: Counter[str] = Counter()
        self._kinds: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        descriptor = os.open(path, flags, mode)
        self._kinds[descriptor] = kind_of(Path(path))
        self.calls[f"open {self._kinds[descriptor]}"] += 1
        return descriptor

    def write(self, descriptor: int, data: Any) -> int:
        self.calls[f"write {self._kinds[descriptor]}"] += 1
        self.written[self._kinds[descriptor]] += len(data)
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        self.calls[f"fsync {self._kinds[descriptor]}"] += 1
        os.fsync(descriptor)

    def stat(self, path: Any, *, follow_symlinks: bool = True) -> os.stat_result:
        self.calls[f"stat {kind_of(Path(path))}"] += 1
        return Path(path).stat(follow_symlinks=follow_symlinks)

    def replace(self, source: Any, target: Any) -> None:
        self.calls[f"rename {kind_of(Path(target))}"] += 1
        Path(source).replace(target)

    def close(self, descriptor: int) -> None:
        self._kinds.pop(descriptor, None)
        os.close(descriptor)


def kind_of(path: Path) -> str:
    """Return what a file is, whether it has its name yet or is being written under a temporary one."""
    if path.is_dir():
        return "folder"
    name = path.name.removeprefix(".")
    if "tfevents" in name:
        return "events"
    first = name.split(".")[0]
    return "best" if first == "best" else first
