"""Splitting of groups so that every slot has work. Pure arithmetic."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence

from cnnsweep.planning.batching import whole_trials
from cnnsweep.planning.scheduling import CostModel, Job, epochs_of
from cnnsweep.types import RunGroup, Trajectory

_CLEAR_GAIN = 1.05  # required factor of the makespan after a cut
_COST_OF_HALVING = 1.1  # time of two halves over that of the whole: smaller groups are less efficient
_FAR = 2.0  # limit relative to the shortest possible makespan
_FUTILE_CUTS = 3  # failed cuts in a row: the makespan may improve only after several cuts


def cut(jobs: Sequence[Job], slots: int, *, lockstep: bool) -> list[Job]:
    """Return the jobs, in their order, some of them cut into parts so that every slot has work.

    The job that ends last on equal slots is cut further as long as this clearly shortens the makespan, although parts
    train less efficiently. There is at least one job per slot, if the runs allow it.

    Args:
        slots: number of slots.
        lockstep: all runs of a trial stay in one group.
    """
    costs = CostModel(jobs)
    whole = [costs.of(load) for load in jobs]
    most = [len(_units(load.group, lockstep)) for load in jobs]
    parts = _numbers_of_parts(whole, most, slots)
    return [
        Job(group, _seconds_of_part(load, group))
        for load, count in zip(jobs, parts, strict=True)
        for group in _divided(load.group, count, lockstep=lockstep)
    ]


def _numbers_of_parts(whole: Sequence[float], most: Sequence[int], slots: int) -> list[int]:
    """Return the number of parts for each job.

    Args:
        whole: the cost of each job.
        most: the largest number of equal parts of each job.
    """
    counts = [1] * len(whole)
    best, shortest, futile = list(counts), math.inf, 0
    smallest = (_cost_of_part(cost, 1 / limit) for cost, limit in zip(whole, most, strict=True))
    bound = max([sum(whole) / slots, *smallest])
    while futile <= _FUTILE_CUTS:
        makespan, last = _play_cut(whole, counts, most, slots)
        futile += 1
        if makespan * _CLEAR_GAIN < shortest:
            best, shortest, futile = list(counts), makespan, 0
        if not last or makespan <= bound * _CLEAR_GAIN:
            break
        if makespan > _FAR * bound:  # a job that is so long alone must be cut in any case
            counts = [
                max(count, min(int(cost / (_FAR * bound)), limit))
                for count, cost, limit in zip(counts, whole, most, strict=True)
            ]
        for number in last:
            counts[number] = min(counts[number] + max(1, counts[number] // 4), most[number])
    while sum(best) < slots and any(count < limit for count, limit in zip(best, most, strict=True)):
        longest = max(
            (number for number in range(len(whole)) if best[number] < most[number]),
            key=lambda number: _costs_of_parts(whole[number], best[number], most[number])[-1],
        )
        best[longest] += 1
    return best


def _play_cut(whole: Sequence[float], counts: Sequence[int], most: Sequence[int], slots: int) -> tuple[float, set[int]]:
    """Return the makespan, and the divisible jobs on one of the last slots."""
    parts = [
        (-part, number)
        for number, (cost, count, limit) in enumerate(zip(whole, counts, most, strict=True))
        for part in ((cost,) if count == 1 else _costs_of_parts(cost, count, limit))
    ]
    ends = [(0.0, place) for place in range(slots)]
    last: dict[int, int] = {}  # by slot: the last divisible job
    for negative_cost, number in sorted(parts):  # the longest first
        end, place = ends[0]
        heapq.heapreplace(ends, (end - negative_cost, place))
        if counts[number] < most[number]:
            last[place] = number
    makespan = max(end for end, _ in ends)
    return makespan, {last[place] for end, place in ends if end * _CLEAR_GAIN > makespan and place in last}


def _costs_of_parts(whole: float, count: int, most: int) -> list[float]:
    """Return the costs of a job's parts, the smallest first."""
    if count == 1:
        return [whole]
    return sorted(_cost_of_part(whole, size / most) for size in _sizes(most, count))


def _cost_of_part(whole: float, share: float) -> float:
    """Return the cost of a share of a job by itself: for a half, 55 % of the whole."""
    return whole * math.pow(share, 1 - math.log2(_COST_OF_HALVING))


def _sizes(units: int, count: int) -> list[int]:
    return [units * (number + 1) // count - units * number // count for number in range(count)]


def _units(group: RunGroup, lockstep: bool) -> Sequence[Sequence[Trajectory]]:
    """Return the parts of a group that must stay whole."""
    return whole_trials(group.trajectories) if lockstep else [(runs,) for runs in group.trajectories]


def _divided(group: RunGroup, count: int, *, lockstep: bool) -> list[RunGroup]:
    if count == 1:
        return [group]
    units = _units(group, lockstep)
    bounds = itertools.pairwise([0, *itertools.accumulate(_sizes(len(units), count))])
    return [_part(group, list(itertools.chain(*units[start:end])), lockstep=lockstep) for start, end in bounds]


def _part(group: RunGroup, members: Sequence[Trajectory], *, lockstep: bool) -> RunGroup:
    """Return the group of some of its trajectories, with the same number of threads."""
    if group.is_threaded and not lockstep:
        return RunGroup.of(members, len(group.programs) if len(members) > 1 else 1).up_to(group.stop_epochs)
    ids = {runs[0].id for runs in members}
    programs = [tuple(runs for runs in program if runs[0].id in ids) for program in group.programs]
    left = tuple(program for program in programs if program)
    return RunGroup(left, group.is_threaded and len(left) > 1, group.stop_epochs)


def _seconds_of_part(load: Job, part: RunGroup) -> float | None:
    if load.seconds is None or part is load.group:
        return load.seconds
    return _cost_of_part(load.seconds, epochs_of(part) / epochs_of(load.group))
