"""Training in this process, one group after the other: the default, and the one for a debugger."""

from collections import deque
from collections.abc import Mapping, Sequence

import torch

from cnnsweep.execution.base import SweepWatcher
from cnnsweep.planning.groups import split_evenly
from cnnsweep.recording.checkpoints import LastCheckpoint
from cnnsweep.records import RunGroup
from cnnsweep.training.feeding import TrainingTask
from cnnsweep.training.trainer import GroupError, train_group


class InProcessExecutor:
    """Trains groups one by one; see `Executor`."""

    def execute(self, groups: Sequence[RunGroup], task: TrainingTask, watcher: SweepWatcher) -> None:
        """See `Executor.execute`."""
        waiting = deque(groups)
        while waiting:
            group = waiting.popleft()
            checkpoints = watcher.group_starts(group)
            if checkpoints is None:
                return
            parts = _train(group, task, watcher, checkpoints)
            waiting.extendleft(reversed(parts))


def _train(
    group: RunGroup, task: TrainingTask, watcher: SweepWatcher, checkpoints: Mapping[str, LastCheckpoint]
) -> list[RunGroup]:
    """Train a group; return into which parts it has to be split to go on, none if it is through."""
    try:
        train_group(group, task, watcher, checkpoints)
    except GroupError as error:
        members = error.remaining.trajectories
        parts = split_evenly(members, -(-len(members) // 2) if error.is_memory else 1)
        watcher.group_splits(parts, str(error))
    else:
        return []
    if task.device.type == "cuda":
        torch.cuda.empty_cache()  # what the group held is of other sizes than its parts need
    return parts
