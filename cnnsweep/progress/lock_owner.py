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
    """State of the owner of a sweep's folder."""

    HERE = "here"  # a process of this machine that is alive
    ELSEWHERE = "elsewhere"  # on another machine, so nobody here can tell
    GONE = "gone"  # a process of this machine that is no more
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Trainer:
    """Owner of a sweep's folder; `words` are safe to print."""

    presence: OwnerState
    words: str

    @property
    def may_write(self) -> bool:
        return self.presence in (OwnerState.HERE, OwnerState.ELSEWHERE)


def find_trainer(paths: SweepPaths) -> Trainer:
    """Return who holds a sweep's folder by what is written there; a number may have gone to another process since."""
    try:
        owner = json.loads(read_bounded(paths.lock_owner, _LONGEST_OWNER))
        process, host = int(owner["pid"]), str(owner["host"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # nobody's, or written right now
        return Trainer(OwnerState.NOBODY, "no process")
    if host != platform.node():
        return Trainer(OwnerState.ELSEWHERE, f"process {process} on {safe_text(host)}")
    return Trainer(OwnerState.HERE if _is_alive(process) else OwnerState.GONE, f"process {process} on this machine")


def _is_alive(process: int) -> bool:
    if os.name != "posix":  # elsewhere the call below would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another person's; a number that no process has
        return process < 2**31
    return process > 0
