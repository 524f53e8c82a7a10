"""Owner of a sweep folder's lock, found without touching the lock."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from enum import Enum

from cnnsweep.formatting.escape import safe_text
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.read_limited import read_bounded

_LONGEST_OWNER = 10_000  # bytes


class OwnerState(Enum):
    """State of the process that owns a lock."""

    HERE = "here"  # alive, on this machine
    ELSEWHERE = "elsewhere"  # on another machine, so its state is unknown
    GONE = "gone"  # it was on this machine
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class LockOwner:
    """Process that owns a sweep's folder; `words` are safe to print."""

    state: OwnerState
    words: str

    @property
    def may_write(self) -> bool:
        return self.state in (OwnerState.HERE, OwnerState.ELSEWHERE)


NO_OWNER = LockOwner(OwnerState.NOBODY, "no process")


def read_lock_owner(paths: SweepPaths) -> LockOwner:
    """Return the owner by the file beside the lock; another process may have got its number since."""
    try:
        owner = json.loads(read_bounded(paths.lock_owner, _LONGEST_OWNER))
        process, host = int(owner["pid"]), str(owner["host"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # no lock file of ours, or written right now
        return NO_OWNER
    if host != platform.node():
        return LockOwner(OwnerState.ELSEWHERE, f"process {process} on {safe_text(host)}")
    state = OwnerState.HERE if _is_alive(process) else OwnerState.GONE
    return LockOwner(state, f"process {process} on this machine")


def _is_alive(process: int) -> bool:
    if os.name != "posix":  # elsewhere the call below would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's; a number that no process has
        return process < 2**31
    return process > 0
