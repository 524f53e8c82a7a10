"""The write protocol: every change to a sweep's folder is made here, by single system calls.

A file is either *replaced*, whole or not at all (temporary file in the same folder, fsync, rename, fsync of the
folder), or *grows* at its end, where a crash tears the tail at most. `tests/faults/test_crash_points.py` kills the
process before and after every one of these calls, and drops what was not synced.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from cnnsweep.errors import DiskFullError, FolderError
from cnnsweep.storage.paths import TEMPORARY, is_leftover, temporary_name
from cnnsweep.storage.read_limited import refuse_irregular

_KEPT_BYTES = 1 << 20  # of a file that is written piece by piece, in memory
# A symbolic link in the place of one of our files would lead what we write to somewhere else.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_UNWAITING = getattr(os, "O_NONBLOCK", 0)  # a pipe in such a place would wait for its reader
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NO_LINK | _UNWAITING
_AT_END = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NO_LINK | _UNWAITING
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OutputFile:
    """A file that is written from its beginning or at its end, as `shutil` and TensorBoard's writer expect one.

    Data stay in memory until `flush`, or until there is a megabyte.
    """

    def __init__(self, path: Path, *, append: bool = False) -> None:
        """Open a file.

        Raises:
            OSError: that is not possible, or a symbolic link, a pipe or a device lies there.
        """
        self._descriptor: int | None = os.open(path, _AT_END if append else _NEW, 0o666)
        self._waiting = bytearray()
        try:
            refuse_irregular(path, os.fstat(self._descriptor))
        except OSError:
            os.close(self._descriptor)
            raise

    def write(self, data: Any) -> int:
        """Take bytes in, or anything with their buffer."""
        view = memoryview(data).cast("B")
        if len(self._waiting) + len(view) < _KEPT_BYTES:
            self._waiting += view
        else:
            self.flush()
            self._write_out(view)
        return len(view)

    def flush(self) -> None:
        """Hand everything to the operating system.

        Raises:
            OSError: the disk is full or gone; what was not written is forgotten, so that `close` cannot fail again.
        """
        waiting, self._waiting = self._waiting, bytearray()
        self._write_out(memoryview(waiting))

    def _write_out(self, rest: memoryview) -> None:
        assert self._descriptor is not None
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def sync(self) -> None:
        """Return when everything would survive a power loss."""
        self.flush()
        assert self._descriptor is not None
        os.fsync(self._descriptor)

    def displacement(self, path: Path) -> str | None:
        """Return what became of the name that this file was opened by, see `displacement`."""
        assert self._descriptor is not None
        return displacement(self._descriptor, path)

    def cut(self, length: int) -> None:
        """Keep the first bytes only."""
        assert self._descriptor is not None
        os.ftruncate(self._descriptor, length)

    def close(self) -> None:
        """Flush and close; may be called again."""
        if self._descriptor is None:
            return
        try:
            self.flush()
        finally:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def __enter__(self) -> OutputFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def displacement(descriptor: int, path: Path) -> str | None:
    """Return the change to the name of an open file, in words; None if the name still leads to that file.

    Editors and rsync write a new file and rename it; later writes to the former file are then lost.
    """
    if os.name == "nt":  # a name whose file is open cannot be taken away there
        return None
    ours = os.fstat(descriptor)  # not remembered: the numbers of some network disks hold while a file is open
    try:
        there = os.stat(path, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return "was removed"
    except OSError as error:
        return f"cannot be looked at any more ({error.strerror})"
    is_same = (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)
    return None if is_same else "was replaced by another"


def replace_file(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader, or a crash at any instant, finds the old content or the new, never a part.

    Raises:
        FolderError: the disk is full, or the folder cannot be written.
    """
    replace_files({path: content})


def replace_files(contents: Mapping[Path, bytes | str]) -> None:
    """As `replace_file`, for files of one folder, in this order; each by itself is old or new."""
    with _all_or_unused(contents) as temporaries:
        for path, content in contents.items():
            with OutputFile(temporaries[path]) as file:
                file.write(encoded(content) if isinstance(content, str) else content)
                file.sync()


def replace_file_by(path: Path, write: Callable[[OutputFile], object]) -> None:
    """As `replace_file`, for content written piece by piece."""
    with _all_or_unused([path]) as temporaries, OutputFile(temporaries[path]) as file:
        write(file)
        file.sync()


def replace_and_keep(path: Path, previous: Path, content: bytes) -> None:
    """As `replace_file`, but keep the former file under another name; in between only that one exists."""
    with _all_or_unused([path], {path: previous}) as temporaries, OutputFile(temporaries[path]) as file:
        file.write(content)
        file.sync()


@contextmanager
def _all_or_unused(paths: Any, kept: Mapping[Path, Path] | None = None) -> Iterator[Mapping[Path, Path]]:
    """Yield a temporary name for each path; rename when all are written, or remove incomplete files."""
    temporaries = {path: temporary_name(path, os.getpid()) for path in paths}
    path = next(iter(temporaries))
    try:
        yield temporaries
        for path, temporary in temporaries.items():
            if kept is not None:
                with suppress(FileNotFoundError):
                    os.replace(path, kept[path])
            os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        for temporary in temporaries.values():
            with suppress(OSError):
                os.unlink(temporary)
        raise unwritable(path, error) from error


def append_to(path: Path, text: str, heading: str = "", *, sync: bool = False) -> None:
    """Add text at the end of a file; a new one begins with the heading.

    Raises:
        FolderError: the disk is full, or the file cannot be written.
    """
    try:
        is_new = not (path.exists() and path.stat().st_size)
        with OutputFile(path, append=True) as file:
            file.write(encoded((heading if is_new else "") + text))
            if sync:
                file.sync()
        if sync and is_new:
            sync_folder(path.parent)  # or the name is lost, and the content with it
    except OSError as error:
        raise unwritable(path, error) from error


def cut_file(path: Path, length: int) -> None:
    """Keep the first bytes of a file, for good."""
    with OutputFile(path, append=True) as file:
        file.cut(length)
        file.sync()


def make_folder(path: Path) -> None:
    """Create a folder and its parents if missing; they survive a power loss.

    Raises:
        FolderError: one cannot be made.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):  # another command makes it in this moment
                os.mkdir(folder)
            sync_folder(folder.parent)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        raise unwritable(path, error) from error


def remove_file(path: Path) -> None:
    """Remove a file, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it; symbolic links are removed, never followed."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            remove_folder(entry)
        else:
            remove_file(entry)
    os.rmdir(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove incomplete files of a killed process; only for the folder's single writer."""
    for path in folder.glob(f".*{TEMPORARY}"):
        if is_leftover(path):
            remove_file(path)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power loss, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(path: Path, error: OSError) -> FolderError:
    """Return the error for a file that could not be written, with the reason and the remedy."""
    again = "run the same command again; nothing that was saved is lost"
    if error.errno in _FULL:
        what = "the limit on the size of files" if error.errno == errno.EFBIG else str(error.strerror)
        return DiskFullError(f"{path}: disk full ({what}); free some space and {again}")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        remedy = "make the folder writable, or choose another with --out"
    else:
        remedy = f"check that the folder is there and can be written, then {again}"
    return FolderError(f"{path}: cannot be written ({error.strerror or error}); {remedy}")


def encoded(text: str) -> bytes:
    r"""Return text as UTF-8, the encoding of all our files in every locale.

    Bytes of a file's name that are no text, which Python has as lone surrogates, become escapes, as `\udcf6`. In JSON
    these mean the very name again.
    """
    return text.encode("utf-8", "backslashreplace")


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return JSON that every reader accepts, in characters that every file can hold.

    NaN and infinities, which JSON does not have, become null; lone surrogates become escapes, see `encoded`.
    """
    try:
        text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:  # there are some
        text = json.dumps(_without_nan(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return encoded(text).decode()


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return value
