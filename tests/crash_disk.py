"""A disk that remembers every state in which a crash could have left it.

It stands in for `os` in `cnnsweep.storage.atomic_files` while a sweep runs, and does two things with each call that
changes something: hands it on, and models what it means. Before each call it keeps

- what is on the disk, which is what a kill leaves, and for a write also what a kill in the middle of it leaves;
- what a power loss leaves at worst: only what was synced, a file's content by fsync of the file, names by fsync of the
  folder;
- some of the many states in between: any of the unsynced contents, torn anywhere, and any of the unsynced renames.

So one run of a sweep yields all its crash points. That the model is right, and that nothing is written past it, is
checked at the end: the model and the folder must be equal.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOCK = ".lock"  # made by filelock, always empty


class _File:
    """A file's content now, and what of it survives a power loss."""

    def __init__(self, data: bytes = b"", *, is_synced: bool = False) -> None:
        self.data = data
        self.synced = data if is_synced else b""


@dataclass(frozen=True)
class State:
    """What a crash leaves.

    Attributes:
        label: when, and what was lost.
        files: content by path below the folder.
        committed: how many epochs of runs had been written down as a whole.
    """

    label: str
    folders: frozenset[Path]
    files: tuple[tuple[Path, bytes], ...]
    committed: int

    def put_into(self, folder: Path) -> None:
        """Make a folder be what the crash left."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for below in sorted(self.folders):
            (folder / below).mkdir(exist_ok=True)
        for path, data in self.files:
            (folder / path).write_bytes(data)


@dataclass
class CrashDisk:
    """See the module. `between` is how many of the states between kept and lost are drawn at each call."""

    root: Path
    between: int = 1
    seed: int = 0
    committed: int = 0
    calls: int = 0
    states: dict[Any, State] = field(default_factory=dict)  # by what is in them: each once

    def __post_init__(self) -> None:
        found = [p for p in self.root.rglob("*") if p.name != LOCK] if self.root.exists() else []
        self._files = {p.relative_to(self.root): _File(p.read_bytes(), is_synced=True) for p in found if p.is_file()}
        self._folders = {p.relative_to(self.root) for p in found if p.is_dir()}
        self._safe_files = dict(self._files)
        self._safe_folders = set(self._folders)
        self._unsynced: list[tuple[Path, Callable[[dict[Path, _File], set[Path]], None]]] = []  # by parent folder
        self._open: dict[int, Any] = {}
        self._random = random.Random(self.seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def assert_complete(self) -> None:
        """Assert that the folder is what went through here."""
        found = {p.relative_to(self.root): p for p in self.root.rglob("*") if p.name != LOCK}
        assert {path: file.data for path, file in self._files.items()} == {
            path: p.read_bytes() for path, p in found.items() if p.is_file()
        }
        assert self._folders == {path for path, p in found.items() if p.is_dir()}

    # What `files.py` calls.

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        below = self._below(path)
        if below is None or not flags & os.O_WRONLY:
            descriptor = os.open(path, flags, mode)
            self._open[descriptor] = below
            return descriptor
        self._keep_states(f"open {below}")
        descriptor = os.open(path, flags, mode)
        if below not in self._files:
            file = _File()
            self._files[below] = file
            self._name(below.parent, lambda files, _: files.__setitem__(below, file))
        elif flags & os.O_TRUNC:
            self._files[below].data = b""
        self._open[descriptor] = self._files[below]
        return descriptor

    def write(self, descriptor: int, data: Any) -> int:
        file = self._open.get(descriptor)
        data = bytes(data)
        if isinstance(file, _File):
            whole = file.data
            self._keep_states(f"write of {len(data)}")
            file.data = whole + data[: self._random.randrange(len(data))]
            self._keep("a part of a write", self._files, self._folders, lambda f: f.data)
            file.data = whole + data
        done = os.write(descriptor, data)
        assert done == len(data)
        return done

    def fsync(self, descriptor: int) -> None:
        what = self._open.get(descriptor)
        self._keep_states("fsync")
        if isinstance(what, _File):
            what.synced = what.data
        elif what is not None:
            for parent, change in [*self._unsynced]:
                if parent == what:
                    change(self._safe_files, self._safe_folders)
            self._unsynced = [entry for entry in self._unsynced if entry[0] != what]
        os.fsync(descriptor)

    def ftruncate(self, descriptor: int, length: int) -> None:
        self._keep_states("ftruncate")
        os.ftruncate(descriptor, length)
        file = self._open.get(descriptor)
        if isinstance(file, _File):
            file.data = file.data[:length]

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor, None)
        os.close(descriptor)

    def replace(self, source: Any, target: Any) -> None:
        old, new = self._below(source), self._below(target)
        self._keep_states(f"rename to {new}")
        os.replace(source, target)
        if old is None or new is None:
            return

        def rename(files: dict[Path, _File], _: set[Path]) -> None:
            if old in files:
                files[new] = files.pop(old)

        # What is renamed keeps the content that it has; after a power loss it may be the synced one.
        rename(self._files, self._folders)
        self._name(new.parent, rename)

    def unlink(self, path: Any) -> None:
        below = self._below(path)
        self._keep_states(f"unlink {below}")
        os.unlink(path)
        if below is not None:
            self._files.pop(below)
            self._name(below.parent, lambda files, _: files.pop(below, None) and None)

    def mkdir(self, path: Any) -> None:
        below = self._below(path)
        self._keep_states(f"mkdir {below}")
        os.mkdir(path)
        if below is not None and below != Path():
            self._folders.add(below)
            self._name(below.parent, lambda _, folders: folders.add(below))

    def rmdir(self, path: Any) -> None:
        below = self._below(path)
        self._keep_states(f"rmdir {below}")
        os.rmdir(path)
        if below is not None:
            self._folders.discard(below)
            self._name(below.parent, lambda _, folders: folders.discard(below))

    # The model.

    def _below(self, path: Any) -> Path | None:
        try:
            return Path(path).relative_to(self.root)
        except ValueError:
            return None

    def _name(self, parent: Path, change: Callable[[dict[Path, _File], set[Path]], None]) -> None:
        self._unsynced.append((parent, change))

    def _keep_states(self, what: str) -> None:
        self.calls += 1
        label = f"call {self.calls}, {what}"
        self._keep(f"{label}: killed", self._files, self._folders, lambda f: f.data)
        self._keep(f"{label}: power lost", self._safe_files, self._safe_folders, lambda f: f.synced)
        for number in range(self.between):
            files, folders = dict(self._safe_files), set(self._safe_folders)
            for _, change in self._unsynced:
                if self._random.random() < 0.5:
                    change(files, folders)
            survives = {id(file): self._some_of(file) for file in files.values()}
            self._keep(
                f"{label}: power lost, some of what was not synced kept ({number})",
                files,
                folders,
                lambda f, survives=survives: survives[id(f)],  # type: ignore[misc]
            )

    def _some_of(self, file: _File) -> bytes:
        if file.data == file.synced:
            return file.synced
        if not file.data.startswith(file.synced):
            return self._random.choice([file.data, file.synced])
        return file.data[: self._random.randint(len(file.synced), len(file.data))]

    def _keep(
        self, label: str, files: dict[Path, _File], folders: set[Path], content: Callable[[_File], bytes]
    ) -> None:
        there = {path: content(file) for path, file in files.items() if self._is_reachable(path, folders)}
        found = frozenset(folder for folder in folders if self._is_reachable(folder, folders))
        items = tuple(sorted(there.items()))
        self.states.setdefault((items, found), State(label, found, items, self.committed))

    @staticmethod
    def _is_reachable(path: Path, folders: set[Path]) -> bool:
        return all(parent in folders for parent in path.parents if parent != Path())


def spread(states: list[State], count: int) -> Iterator[State]:
    """Yield so many of the states, evenly spread."""
    step = max(1.0, len(states) / count)
    position = 0.0
    while position < len(states):
        yield states[int(position)]
        position += step
