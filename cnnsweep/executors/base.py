"""The contract of every executor: groups go in, reports stream out, decisions go back.

Whoever trains, only the parent writes: an executor calls the watcher in the parent process, and in one thread of it.
An executor is left idle between two calls of `execute`, so that workers need not start anew for every round of a
search, and it is closed when the sweep ends, however it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Protocol, TypeVar

from cnnsweep.planning.scheduling import Load
from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.training.trainer import Watcher
from cnnsweep.types import RunGroup

R = TypeVar("R")


class Placeholder(Enum):
    """What stands for something that each place has of its own."""

    TASK = "task"


TASK = Placeholder.TASK


class SweepWatcher(Watcher, Protocol):
    """Who is told how a whole sweep goes; called in the parent process only.

    Groups that train side by side take turns to call, each about its own runs.
    """

    def group_starts(self, group: RunGroup) -> Mapping[str, LastCheckpoint] | None:
        """Return where the group's runs go on, by run id; None if no further group is to start."""

    def group_splits(self, parts: Sequence[RunGroup], cause: str) -> None:
        """Hear that runs could not go on together; they start again, in these groups, from their last checkpoints."""

    def group_lost(self, group: RunGroup, cause: str) -> None:
        """Hear that whoever trained runs is gone; they start again, in this group, from their last checkpoints."""

    def worker_said(self, text: str) -> None:
        """Hear a line that was printed where a group trains, or about who trains there."""


class Executor(Protocol):
    """Trains groups somewhere.

    Attributes:
        places: how many groups train at once, as far as is known.
    """

    @property
    def places(self) -> int: ...

    def call(self, function: Callable[..., R], *arguments: object) -> R:
        """Call a function where groups train, to measure what they take there.

        Args:
            function: of a module.
            arguments: TASK stands for the `TrainingTask`, as it is there.

        Raises:
            ExecutionError: there is nobody to call it.
            RuntimeError: whoever called it is lost each time.
            Exception: what the function raises, if it is an error of ours or memory ran out; else a RuntimeError that
                says what it was.
        """
        ...

    def execute(self, loads: Sequence[Load], watcher: SweepWatcher) -> None:
        """Train all groups to their ends, or until the watcher wants no more.

        What a group cannot do together it does in parts, and what is lost with its worker is trained again; so every
        run of every group has ended when this returns, unless the watcher interrupted it.

        Raises:
            ExecutionError: there is no one left who could train.
            FolderError: what is reported can no longer be written down.
            KeyboardInterrupt: a person wants to stop at once. Nothing trains any more when this is raised.
        """

    def close(self) -> None:
        """End whoever trains, at once; may be called more than once."""
