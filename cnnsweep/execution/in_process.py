"""Training in this process, one group after the other: the default, and the one for a debugger."""

from collections.abc import Sequence

from cnnsweep.execution.base import SweepWatcher
from cnnsweep.records import RunGroup
from cnnsweep.training.trainer import TrainingTask, train_group


class InProcessExecutor:
    """Trains groups one by one; see `Executor`."""

    def execute(self, groups: Sequence[RunGroup], task: TrainingTask, watcher: SweepWatcher) -> None:
        """See `Executor.execute`."""
        for group in groups:
            checkpoints = watcher.group_starts(group)
            if checkpoints is None:
                return
            train_group(group, task, watcher, checkpoints)
