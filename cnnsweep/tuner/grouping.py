"""Grouping of runs: as the journal remembers, or by measurement."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence

from cnnsweep.executors.base import Executor
from cnnsweep.executors.inline import InProcessExecutor
from cnnsweep.formatting.numbers import count_text
from cnnsweep.planning.batching import family, runs_of_a_kind
from cnnsweep.planning.cost import group_seconds
from cnnsweep.planning.scheduling import Job
from cnnsweep.planning.split_jobs import cut
from cnnsweep.planning.stage import TO_THE_ENDS, Stage
from cnnsweep.storage.state import SweepState
from cnnsweep.training.data_module import DataModule
from cnnsweep.tuner.group_cache import (
    OFF,
    Fuse,
    PlannedGroup,
    conditions,
    remembered_groups,
    repeated_groups,
    without_torn,
)
from cnnsweep.tuner.group_planner import GroupPlanner
from cnnsweep.types import Run, RunGroup, Trajectory


def choose_groups(
    missing: Sequence[Run],
    history: SweepState,
    task: DataModule,
    fuse: Fuse,
    tell: Callable[[str], None],
    *,
    measure_all: bool = False,
    lockstep: bool = False,
    stage: Stage = TO_THE_ENDS,
    executor: Executor | None = None,
    everyone: Sequence[Run] = (),
) -> list[PlannedGroup]:
    """Return the groups to train, in the order of their first runs; those that the journal remembers keep its order.

    A group that the journal remembers stays as it was, if it was chosen under the same conditions: the last bits of
    results depend on the groups, and a resumed sweep shall equal an uninterrupted one. So does a fusion plan that was
    measured before for runs of the same family, if at most twice as many are to train now.

    Args:
        tell: takes a line on the choice for each kind of run, if there was one.
        measure_all: measure runs that have to train alone too, to foresee their time.
        lockstep: keep all runs of a trial in one group, in several programs if need be, so that they train epoch by
            epoch together; see `keeps_lockstep`.
        stage: the stop epochs of these groups; the survivors are grouped anew.
        executor: measures where the groups will train, and has slots, each of which shall have work; by default this
            process does.
        everyone: every run of the sweep; some may have to train along, see `repeated_groups`.
    """
    executor = executor or InProcessExecutor(task)
    under = conditions(task, fuse, lockstep=lockstep, stage=stage, slots=executor.slots)
    repeated = [] if stage.stop_epochs else repeated_groups(missing, history, under, everyone)
    for one in repeated:
        tell(_repeated_in_words(one.group))
    others = _without(missing, repeated)
    remembered = [*repeated, *remembered_groups(others, history, under, stage.stop_epochs)]
    if lockstep:
        remembered = without_torn(remembered, missing)
    new = _without(missing, remembered)
    if fuse == OFF and not measure_all and not lockstep:
        alone = [PlannedGroup(RunGroup.of(((run,),)), "--fuse off") for run in new]
        return _in_order(missing, remembered, _with_stop_epochs(alone, stage))
    left = {run.id for run in missing}
    planner = GroupPlanner(
        executor,
        fuse,
        under,
        tell,
        dict(history.ways),
        measure_all,
        lockstep,
        going_on=frozenset(family(run) for one in remembered for run in one.group.runs),
        is_edited=stage == TO_THE_ENDS and any(run_id not in left for run_id in history.runs),
    )
    epochs_done = {run.id: len(history.runs[run.id].records) for run in new if run.id in history.runs}
    planned = _planned(planner, runs_of_a_kind(new, epochs_done, mixed_epochs=stage.mixed_epochs))
    parts = _cut(_with_stop_epochs(planned, stage), executor.slots, task, epochs_done, lockstep=lockstep)
    if len(parts) > len(planned):
        tell(f"{count_text(len(planned), 'group')} cut into {len(parts)}: {executor.slots} train at once")
    return _in_order(missing, remembered, parts)


def _without(runs: Sequence[Run], groups: Sequence[PlannedGroup]) -> list[Run]:
    """Return the runs that no group has."""
    known = {run.id for planned in groups for run in planned.group.runs}
    return [run for run in runs if run.id not in known]


def _planned(planner: GroupPlanner, kinds: Sequence[Sequence[Trajectory]]) -> list[PlannedGroup]:
    """Return the groups of all kinds; in lock step, those of a family share groups."""
    if not planner.lockstep:
        return [one for kind in kinds for one in planner.plan([kind])]
    families: dict[str, list[Sequence[Trajectory]]] = {}
    for kind in kinds:
        families.setdefault(family(kind[0][0]), []).append(kind)
    return [one for of_family in families.values() for one in planner.plan(of_family)]


def _in_order(
    missing: Sequence[Run], remembered: Sequence[PlannedGroup], planned: Sequence[PlannedGroup]
) -> list[PlannedGroup]:
    """Return the groups in the order of their first runs.

    A remembered group whose first runs have ended keeps its turn: decisions depend on the order of training.
    """
    place = {run.id: number for number, run in enumerate(missing)}
    first_places = [min(place[run.id] for run in one.group.runs) for one in [*remembered, *planned]]
    turns = [*itertools.accumulate(first_places[: len(remembered)], max), *first_places[len(remembered) :]]
    return [one for _, one in sorted(zip(turns, [*remembered, *planned], strict=True), key=lambda pair: pair[0])]


def foreseen_job(one: PlannedGroup, task: DataModule, epochs_done: Mapping[str, int]) -> Job:
    """Return a group with the seconds that it will take, if anything was measured.

    Args:
        epochs_done: by run id.
    """
    run = one.group.runs[0]
    part = task.part(run)  # of several folds, others may have an image less
    steps = len(task.batch_lengths(run))
    seconds = group_seconds(one.group, one.step_s, steps, len(part.validation) / len(part.training), epochs_done)
    return Job(one.group, seconds)


def _cut(
    planned: Sequence[PlannedGroup],
    slots: int,
    task: DataModule,
    epochs_done: Mapping[str, int],
    *,
    lockstep: bool,
) -> list[PlannedGroup]:
    """Return the groups, split so that every slot has work."""
    if slots == 1:
        return list(planned)
    origin = {run.id: one for one in planned for run in one.group.runs}
    jobs = [foreseen_job(one, task, epochs_done) for one in planned]
    parts = cut(jobs, slots, lockstep=lockstep)
    return [dataclasses.replace(origin[part.group.runs[0].id], group=part.group) for part in parts]


def _with_stop_epochs(planned: Sequence[PlannedGroup], stage: Stage) -> list[PlannedGroup]:
    return [dataclasses.replace(one, group=one.group.up_to(stage.stop_epochs)) for one in planned]


def _repeated_in_words(group: RunGroup) -> str:
    runs, along = count_text(len(group.runs), "run"), count_text(len(group.companions), "run")
    verbs = "has ended trains" if len(group.companions) == 1 else "have ended train"
    return f"{runs} with lost epochs in the old group: {along} that {verbs} along, for every bit to be as it was"
