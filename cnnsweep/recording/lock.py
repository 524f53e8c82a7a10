"""One process at a time in a sweep's folder."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from cnnsweep.errors import FolderError
from cnnsweep.recording.files import make_folder, remove_file, replace_file, unwritable
from cnnsweep.recording.paths import SweepPaths


@contextmanager
def locked(paths: SweepPaths) -> Iterator[None]:
    """Hold a sweep's folder, which is made if need be.

    The operating system lets go of the lock when the process ends, however it ends, so a stale one never blocks.

    Raises:
        FolderError: another process holds it, or it cannot be written.
    """
    try:
        make_folder(paths.folder)
        lock = FileLock(paths.lock)
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
    """Return in words who holds a sweep's folder, or None where nobody does, or it cannot be told."""
    if not paths.lock.exists():
        return None
    lock = FileLock(paths.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _owner(paths)
    except OSError:  # a folder that cannot be written holds no running sweep of ours
        return None
    lock.release()
    return None


def _owner(paths: SweepPaths) -> str:
    try:
        owner = json.loads(paths.lock_owner.read_text())
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError):  # it has just begun or just ended
        return "another cnnsweep"
