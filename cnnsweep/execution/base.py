"""The contract of every executor: groups go in, reports stream out, decisions go back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from cnnsweep.recording.last_checkpoint import LastCheckpoint
from cnnsweep.records import RunGroup
from cnnsweep.training.feeding import TrainingTask
from cnnsweep.training.trainer import Watcher


class SweepWatcher(Watcher, Protocol):
    """Who is told how a whole sweep goes; called in the parent process only."""

    def group_starts(self, group: RunGroup) -> Mapping[str, LastCheckpoint] | None:
        """Return where the group's runs go on, by run id; None if no further group is to start."""

    def group_splits(self, parts: Sequence[RunGroup], cause: str) -> None:
        """Hear that runs could not go on together; they start again, in these groups, from their last checkpoints."""


class Executor(Protocol):
    """Trains groups somewhere. Only the parent writes: an executor's workers send what they have to report."""

    def execute(self, groups: Sequence[RunGroup], task: TrainingTask, watcher: SweepWatcher) -> None:
        """Train all groups to their ends, or until the watcher wants no more.

        Raises:
            FolderError: what is reported can no longer be written down.
            KeyboardInterrupt: a person wants to stop at once.
        """
