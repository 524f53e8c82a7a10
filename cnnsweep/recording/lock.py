"""One process at a time in a sweep's folder."""

import json
import os
import platform
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cnnsweep.bounded_files import read_bounded
from cnnsweep.errors import FolderError
from cnnsweep.recording.files import make_folder, remove_file, replace_file, unwritable
from cnnsweep.recording.paths import SweepPaths, refuse_undecodable

_LONGEST_OWNER = 10_000  # bytes


@contextmanager
def locked(paths: SweepPaths) -> Iterator[None]:
    """Hold a sweep's folder, which is made if need be.

    The operating system lets go of the lock when the process ends, however it ends, so a stale one never blocks.

    Raises:
        FolderError: another process holds it, it cannot be written, something else lies in the lock's place, or its
            name is no text.
    """
    refuse_undecodable(paths.folder)
    try:
        make_folder(paths.folder)
        lock = lock_of(paths.lock)
        lock.acquire(timeout=0)
    except Timeout:
        raise FolderError(
            f"{paths.folder}: is in use by {_owner(paths)}; wait for it, or choose another --out"
        ) from None
    except OSError as error:
        raise unwritable(paths.folder, error) from error
    try:
        replace_file(paths.lock_owner, json.dumps({"pid": os.getpid(), "host": platform.node()}))
        yield
    finally:
        with suppress(OSError):  # the folder is gone, or cannot be written any more
            remove_file(paths.lock_owner)
        lock.release()


def holder(paths: SweepPaths) -> str | None:
    """Return in words who holds a sweep's folder, or None where nobody does, or it cannot be told.

    Raises:
        FolderError: something else lies in the lock's place, or the folder's name is no text.
    """
    refuse_undecodable(paths.folder)
    if not os.path.lexists(paths.lock):
        return None
    lock = lock_of(paths.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _owner(paths)
    except OSError:  # a folder that cannot be written holds no running sweep of ours
        return None
    lock.release()
    return None


def lock_of(path: Path) -> FileLock:
    """Return the lock of a file, not taken yet; taking it may empty the file, which therefore has to be a lock's own.

    Raises:
        FolderError: a link, a folder, a pipe or a device lies there.
    """
    try:
        about = path.lstat()
    except OSError:  # nothing there, or nothing that can be seen: taking it says why
        return FileLock(path)
    found = _UNFIT.get(stat.S_IFMT(about.st_mode))
    if stat.S_ISREG(about.st_mode):
        found = "a file that has other names too" if about.st_nlink > 1 else None
    elif found is None:
        found = "a pipe or a device"
    if found is not None:
        raise FolderError(
            f"{path}: is {found}, where a lock belongs: a plain file, and empty; nothing was opened; see what "
            "it is, remove it, and run the same command again"
        )
    return FileLock(path)


_UNFIT = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder"}


def _owner(paths: SweepPaths) -> str:
    try:
        owner = json.loads(read_bounded(paths.lock_owner, _LONGEST_OWNER))
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # it has just begun or just ended
        return "another cnnsweep"
