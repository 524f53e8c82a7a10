"""One process at a time in a sweep's folder."""

import json
import os
import platform
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from cnnsweep.errors import FolderError
from cnnsweep.storage.atomic_files import displacement, make_folder, remove_file, replace_file, unwritable
from cnnsweep.storage.paths import SweepPaths, refuse_undecodable
from cnnsweep.storage.read_limited import open_regular, read_bounded

_LONGEST_OWNER = 10_000  # bytes


class Hold:
    """A sweep's folder while this process holds it."""

    def __init__(self, paths: SweepPaths) -> None:
        """Remember which file is the lock, which is held.

        Raises:
            OSError: it is gone already.
        """
        self._paths = paths
        self._lock = open_regular(paths.lock)
        self._folder = _which(paths.folder)

    def loss(self) -> str | None:
        """Return the reason why the folder is no longer this process's, in words; None while it is."""
        became = displacement(self._lock.fileno(), self._paths.lock)
        if became is None:
            return None
        folder, now = self._paths.folder, _which(self._paths.folder)
        if now is None:
            return f"{folder}: was removed, or moved away, while a command was at work in it"
        if now != self._folder:
            return f"{folder}: was replaced by another folder while a command was at work in it"
        return f"{self._paths.lock}: {became}, so that two commands could write into this folder at once"

    def close(self) -> None:
        """Forget the lock; only after its release, since some disks release a file whenever it is closed."""
        self._lock.close()


def _which(folder: Path) -> tuple[int, int] | None:
    try:
        about = folder.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino


@contextmanager
def locked(paths: SweepPaths) -> Iterator[Hold]:
    """Hold a sweep's folder; create it if missing.

    The operating system releases the lock when the process ends in any way, so a stale one never blocks.

    Raises:
        FolderError: another process holds it, it cannot be written, something else lies in the lock's place, or its
            name is no text.
    """
    refuse_undecodable(paths.folder)
    try:
        make_folder(paths.folder)
        lock = lock_of(paths.lock)
        lock.acquire(timeout=0)
        hold = Hold(paths)
    except Timeout:
        raise FolderError(
            f"{paths.folder}: is in use by {_owner(paths)}; wait for it, or choose another --out"
        ) from None
    except OSError as error:
        raise unwritable(paths.folder, error) from error
    try:
        replace_file(paths.lock_owner, json.dumps({"pid": os.getpid(), "host": platform.node()}))
        yield hold
    finally:
        with suppress(OSError):  # the folder is gone, or cannot be written any more
            if hold.loss() is None:  # else it is another's
                remove_file(paths.lock_owner)
        lock.release()
        hold.close()


def holder(paths: SweepPaths) -> str | None:
    """Return the holder of a sweep's folder, in words; None if it is free or unknown.

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
    """Return the lock of a file, not acquired yet; acquiring may empty the file, which must therefore be a lock file.

    Raises:
        FolderError: a link, a folder, a pipe or a device lies there.
    """
    try:
        about = path.lstat()
    except OSError:  # nothing there, or nothing that can be seen: taking it says why
        return FileLock(path)
    found = _STARTUP_FAILED.get(stat.S_IFMT(about.st_mode))
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


_STARTUP_FAILED = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a folder"}


def _owner(paths: SweepPaths) -> str:
    try:
        owner = json.loads(read_bounded(paths.lock_owner, _LONGEST_OWNER))
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # it has just begun or just ended
        return "another cnnsweep"
