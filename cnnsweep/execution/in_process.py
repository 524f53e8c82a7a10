"""Training in this process, one group after the other: the default, and the one for a debugger."""

import itertools
from collections import deque
from collections.abc import Mapping, Sequence

import torch

from cnnsweep.execution.base import SweepWatcher
from cnnsweep.planning.groups import split_evenly, whole_configurations
from cnnsweep.recording.last_checkpoint import LastCheckpoint
from cnnsweep.records import RunGroup, even_sizes
from cnnsweep.training.feeding import TrainingTask
from cnnsweep.training.lanes import only
from cnnsweep.training.trainer import GroupError, train_group


class InProcessExecutor:
    """Trains groups one by one; see `Executor`.

    Args:
        in_step: groups hold whole configurations, and shall do so where they have to be split.
    """

    def __init__(self, *, in_step: bool = False) -> None:
        self._in_step = in_step

    def execute(self, groups: Sequence[RunGroup], task: TrainingTask, watcher: SweepWatcher) -> None:
        """See `Executor.execute`."""
        waiting = deque(groups)
        while waiting:
            group = waiting.popleft()
            checkpoints = watcher.group_starts(group)
            if checkpoints is None:
                return
            parts = self._train(group, task, watcher, checkpoints)
            waiting.extendleft(reversed(parts))

    def _train(
        self, group: RunGroup, task: TrainingTask, watcher: SweepWatcher, checkpoints: Mapping[str, LastCheckpoint]
    ) -> list[RunGroup]:
        """Train a group; return into which parts it has to be split to go on, none if it is through."""
        try:
            train_group(group, task, watcher, checkpoints)
        except GroupError as error:
            parts = _split(error.remaining, is_memory=error.is_memory, in_step=self._in_step)
            watcher.group_splits(parts, str(error))
        else:
            return []
        if task.device.type == "cuda":
            torch.cuda.empty_cache()  # what the group held is of other sizes than its parts need
        return parts


def _split(group: RunGroup, *, is_memory: bool, in_step: bool) -> list[RunGroup]:
    """Return the groups in which runs go on that could not together, in halves where memory ran out, else one by one.

    In step, configurations stay whole as long as that may help: first each is a group of its own, or half of them are;
    then the programs of a single one become smaller; only what fails one by one is torn apart.
    """
    members = group.trajectories
    if in_step:
        bundles = whole_configurations(members)
        if len(bundles) > 1:
            counts = even_sizes(len(bundles), -(-len(bundles) // 2) if is_memory else 1)
            bounds = itertools.pairwise([0, *itertools.accumulate(counts)])
            ids = [{run.id for runs in itertools.chain(*bundles[start:end]) for run in runs} for start, end in bounds]
            parts = [only(group, of_part) for of_part in ids]
            return parts if is_memory else [_with_smaller_programs(part, 1) for part in parts]
        largest = max(map(len, group.programs))
        if largest > 1 or group.is_threaded:
            return [_with_smaller_programs(group, -(-largest // 2) if is_memory else 1)]
    return split_evenly(members, -(-len(members) // 2) if is_memory and not in_step else 1)


def _with_smaller_programs(group: RunGroup, most: int) -> RunGroup:
    """Return the group with programs of at most so many trajectories, which take turns."""
    return RunGroup(tuple(part.trajectories for program in group.programs for part in split_evenly(program, most)))
