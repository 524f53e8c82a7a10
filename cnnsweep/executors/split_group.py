"""Split of a group that could not continue together."""

from __future__ import annotations

import itertools

from cnnsweep.planning.batching import split_evenly, whole_trials
from cnnsweep.training.trial_slots import only
from cnnsweep.types import RunGroup, even_sizes


def split(group: RunGroup, *, is_memory: bool, lockstep: bool) -> list[RunGroup]:
    """Return the groups in which the runs continue: two halves if memory ran out, else one per run.

    In lockstep, trials stay whole as long as possible: first each trial, or half of them, is a group; then the learners
    of a single trial become smaller; only runs that fail one by one are separated.
    """
    members = group.trajectories
    if lockstep:
        bundles = whole_trials(members)
        if len(bundles) > 1:
            counts = even_sizes(len(bundles), -(-len(bundles) // 2) if is_memory else 1)
            bounds = itertools.pairwise([0, *itertools.accumulate(counts)])
            ids = [{run.id for runs in itertools.chain(*bundles[start:end]) for run in runs} for start, end in bounds]
            parts = [only(group, of_part) for of_part in ids]
            return parts if is_memory else [_with_smaller_programs(part, 1) for part in parts]
        largest = max(map(len, group.programs))
        if largest > 1 or group.is_threaded:
            return [_with_smaller_programs(group, -(-largest // 2) if is_memory else 1)]
    parts = split_evenly(members, -(-len(members) // 2) if is_memory and not lockstep else 1)
    return [part.up_to(group.stop_epochs) for part in parts]


def _with_smaller_programs(group: RunGroup, most: int) -> RunGroup:
    """Return the group with learners of at most `size` trajectories, which take turns."""
    programs = tuple(part.trajectories for program in group.programs for part in split_evenly(program, most))
    return RunGroup(programs, stop_epochs=group.stop_epochs)
