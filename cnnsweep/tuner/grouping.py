"""Grouping of runs: as the journal remembers, or by measurement."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from cnnsweep.errors import CnnSweepError, ExecutionError, FusionError
from cnnsweep.executors.base import TASK, Executor
from cnnsweep.executors.inline import InProcessExecutor
from cnnsweep.formatting.numbers import count_text
from cnnsweep.planning.batching import by_exact_model, family, runs_of_a_kind, split_evenly, split_lockstep
from cnnsweep.planning.cost import group_seconds
from cnnsweep.planning.scheduling import Job
from cnnsweep.planning.split_jobs import cut
from cnnsweep.planning.stage import TO_THE_ENDS, Stage, without_mark
from cnnsweep.storage.remembered import RememberedWay
from cnnsweep.storage.state import SweepState
from cnnsweep.training.autotune import ALONE, TOO_SHORT, FusionPlan, TuningResult, autotune, seconds_together
from cnnsweep.training.data_module import DataModule
from cnnsweep.training.memory_estimate import runs_that_fit
from cnnsweep.training.verify_fused import check_fused
from cnnsweep.tuner.group_cache import Fuse, PlannedGroup, conditions, remembered_groups, repeated_groups, without_torn
from cnnsweep.types import Run, RunGroup, Trajectory

AUTO, OFF = "auto", "off"
# Joining a group that has begun would change the results of its runs, which do not depend on what a file gets later.
_OTHERS_GO_ON = "the others of its kind go on in the group that they began in"
_OTHERS_ENDED = "the only one of its kind that is left to train"
_REUSED_FOR = 2  # times as many trajectories as a way was chosen for: beyond, another may be faster


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

    A group that the journal remembers stays as it was, if it was chosen under the same conditions: how runs are grouped
    shows in the last bits of their results, and a resumed sweep shall equal an uninterrupted one. So does a way that
    was measured before for runs of the same family, if those to train now are at most twice as many.

    Args:
        tell: is told in a line what was chosen for each kind of run, where there was something to choose.
        measure_all: measure runs that have to train alone too, to foresee their time.
        in_step: keep all runs of a configuration in one group, so that they go on epoch by epoch together, in several
            programs if need be: whoever stops configurations early compares them over their seeds and folds.
        leg: up to where these groups train; beyond, those that go on are grouped anew.
        everyone: every run of the sweep, of which some may have to train along, see `repeated_groups`.
        executor: measures where the groups will train, and has as many places, each of which shall have work; by
            default this process does.
    """
    executor = executor or InProcessExecutor(task)
    under = conditions(task, fuse, lockstep=lockstep, stage=stage, slots=executor.slots)
    repeated = [] if stage.stop_epochs else repeated_groups(missing, history, under, everyone)
    for one in repeated:
        tell(_repeated_in_words(one.group))
    again = {run.id for one in repeated for run in one.group.runs}
    others = [run for run in missing if run.id not in again]
    remembered = [*repeated, *remembered_groups(others, history, under, stage.stop_epochs)]
    if lockstep:
        remembered = without_torn(remembered, missing)
    known = {run.id for planned in remembered for run in planned.group.runs}
    new = [run for run in missing if run.id not in known]
    planned: list[PlannedGroup] = []
    if fuse == OFF and not measure_all and not lockstep:
        planned = _with_stop_epochs([PlannedGroup(RunGroup.of(((run,),)), "--fuse off") for run in new], stage)
    else:
        epochs_done = {run.id: len(history.runs[run.id].records) for run in new if run.id in history.runs}
        going_on = frozenset(family(run) for one in remembered for run in one.group.runs)
        left = {run.id for run in missing}
        is_edited = stage == TO_THE_ENDS and any(run_id not in left for run_id in history.runs)
        planner = _Planner(
            executor, fuse, under, tell, dict(history.ways), measure_all, lockstep, going_on, is_edited=is_edited
        )
        kinds = runs_of_a_kind(new, epochs_done, mixed_epochs=stage.mixed_epochs)
        if lockstep:
            families: dict[str, list[list[Trajectory]]] = {}
            for kind in kinds:
                families.setdefault(family(kind[0][0]), []).append(kind)
            planned += [one for of_family in families.values() for one in planner.plan(of_family)]
        else:
            planned += [one for kind in kinds for one in planner.plan([kind])]
        whole = len(planned)
        planned = _cut(_with_stop_epochs(planned, stage), executor.slots, task, epochs_done, lockstep=lockstep)
        if len(planned) > whole:
            tell(f"{count_text(whole, 'group')} cut into {len(planned)}: {executor.slots} train at once")
    place = {run.id: number for number, run in enumerate(missing)}
    first_slots = [min(place[run.id] for run in one.group.runs) for one in [*remembered, *planned]]
    # A group whose first runs have ended keeps its turn: what a rule finds depends on who trains before whom.
    turns = [*itertools.accumulate(first_slots[: len(remembered)], max), *first_slots[len(remembered) :]]
    return [one for _, one in sorted(zip(turns, [*remembered, *planned], strict=True), key=lambda pair: pair[0])]


@dataclass(frozen=True, slots=True)
class _Choice:
    """Fusion plan of a family, its measurement, if any, and a flag for a new one."""

    calibration: TuningResult
    most: int | None = None  # as many trajectories fit into memory
    way: RememberedWay | None = None
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class _Planner:
    """Chooses groups; see `choose_groups`. `ways` grows with each family that is measured."""

    executor: Executor
    fuse: Fuse
    under: Mapping[str, Any]
    tell: Callable[[str], None]
    ways: dict[str, RememberedWay]
    measure_all: bool
    lockstep: bool
    going_on: frozenset[str]  # families of runs whose groups the journal remembers
    is_edited: bool  # others have ended before, with which a newcomer might have trained

    def plan(self, kinds: Sequence[Sequence[Trajectory]]) -> list[PlannedGroup]:
        """Choose the groups of runs that could all train together; of several kinds only where they go on in step."""
        if self.fuse == OFF:
            kinds = [[(run,) for runs in kind for run in runs] for kind in kinds]
        try:
            choice = self._choose(max(kinds, key=len))
            groups = self._divide(kinds, choice)
            self._check(groups)
        except FusionError as error:
            exact = by_exact_model(list(itertools.chain(*kinds)))
            if len(exact) > 1:  # its dropout changes more than what is drawn
                return [one for part in exact for one in self.plan(_of_each_kind(kinds, part))]
            choice = _Choice(TuningResult(ALONE, str(error)))
            groups = self._divide(kinds, choice)
        except ExecutionError:
            raise
        except Exception as error:  # the model's own code raises: training tells the story, one run at a time
            cause = str(error) if isinstance(error, CnnSweepError) else f"{type(error).__name__}: {error}"
            choice = _Choice(TuningResult(ALONE, f"trying a step failed: {' '.join(cause.split())}"))
            groups = self._divide(kinds, choice)
        if choice.way is not None:
            self.ways[family(kinds[0][0][0])] = choice.way
        is_left_alone = choice.calibration.why in (_OTHERS_GO_ON, _OTHERS_ENDED)
        if choice.is_new and self.fuse != OFF and (sum(map(len, kinds)) > 1 or is_left_alone):
            self.tell(_in_words(groups, choice.calibration))
        return [self._planned(group, choice) for group in groups]

    def _planned(self, group: RunGroup, choice: _Choice) -> PlannedGroup:
        calibration = choice.calibration
        why, step_s = calibration.why, calibration.step_s
        if calibration.way == ALONE and len(group.programs) > 1:
            why = f"one by one, epoch by epoch, to be compared: {why}"
        elif calibration.way != ALONE and not group.is_threaded and all(len(runs) == 1 for runs in group.programs):
            why, step_s = "left over by the groups", calibration.alone_s
        return PlannedGroup(group, why, step_s, choice.way)

    def _divide(self, kinds: Sequence[Sequence[Trajectory]], choice: _Choice) -> list[RunGroup]:
        way = choice.calibration.way
        if self.lockstep:
            return split_lockstep(kinds, way.size, way.threads, choice.most)
        (kind,) = kinds
        return split_evenly(kind, way.size, way.threads)

    def _check(self, groups: Sequence[RunGroup]) -> None:
        for group in groups:
            for program in group.programs:
                if len(program) > 1:
                    self.executor.call(check_fused, [members[-1] for members in program], TASK)

    def _why_single(self, run: Run) -> str:
        if family(run) in self.going_on:
            return _OTHERS_GO_ON
        return _OTHERS_ENDED if self.is_edited else "the only one of its kind"

    def _choose(self, kind: Sequence[Trajectory]) -> _Choice:
        runs = [members[-1] for members in kind]
        if len(kind) == 1 or self.fuse == OFF:
            why = "--fuse off" if self.fuse == OFF else self._why_single(runs[0])
            step_s = self.executor.call(seconds_together, runs[:1], TASK) if self.measure_all else None
            return _Choice(TuningResult(ALONE, why, step_s))
        if isinstance(self.fuse, int):
            most = self.executor.call(runs_that_fit, runs[0], TASK)
            way = FusionPlan(min(self.fuse, len(runs), most))
            measured = {way: self.executor.call(seconds_together, runs[: way.size], TASK)} if self.measure_all else {}
            return _Choice(TuningResult(way, f"--fuse {self.fuse}", measured.get(ALONE), measured), most)
        known = self.ways.get(family(runs[0]))
        if (
            known is not None
            and known.alone_s is not None  # else there was too little to train, which there may not be this time
            and without_mark(known.conditions) == without_mark(self.under)
            and len(kind) <= _REUSED_FOR * known.of
        ):
            way = FusionPlan(known.size, known.threads)
            measured = {} if way == ALONE or known.step_s is None else {way: known.step_s}
            return _Choice(TuningResult(way, known.why, known.alone_s, measured), known.most, known, is_new=False)
        most = self.executor.call(runs_that_fit, runs[0], TASK)
        epochs = sum(run.hyperparameters.epochs for run in runs)
        chosen = self.executor.call(_autotune_within_memory, runs, epochs, TASK, most)
        if chosen.alone_s is None and chosen != TOO_SHORT:
            return _Choice(chosen, most)  # nothing was measured: the next time is the first
        if chosen.alone_s is None and self.measure_all:
            chosen = dataclasses.replace(chosen, alone_s=self.executor.call(seconds_together, runs[:1], TASK))
        way, of = chosen.way, len(kind)
        remembered = RememberedWay(
            way.size, way.threads, of, most, chosen.why, chosen.alone_s, chosen.step_s, self.under
        )
        return _Choice(chosen, most, remembered, is_new=known is None or known.why != chosen.why)


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
    """Return the groups, divided so that every place has work."""
    if slots == 1:
        return list(planned)
    origin = {run.id: one for one in planned for run in one.group.runs}
    jobs = [foreseen_job(one, task, epochs_done) for one in planned]
    parts = cut(jobs, slots, lockstep=lockstep)
    return [dataclasses.replace(origin[part.group.runs[0].id], group=part.group) for part in parts]


def _with_stop_epochs(planned: Sequence[PlannedGroup], stage: Stage) -> list[PlannedGroup]:
    return [dataclasses.replace(one, group=one.group.up_to(stage.stop_epochs)) for one in planned]


def _of_each_kind(kinds: Sequence[Sequence[Trajectory]], part: Sequence[Trajectory]) -> list[list[Trajectory]]:
    """Return the kinds with what is in a part only."""
    ids = {runs[0].id for runs in part}
    left = [[runs for runs in kind if runs[0].id in ids] for kind in kinds]
    return [kind for kind in left if kind]


def _autotune_within_memory(runs: Sequence[Run], epochs: int, task: DataModule, most: int) -> TuningResult:
    while True:
        with contextlib.suppress(torch.OutOfMemoryError, MemoryError):
            return autotune(runs, epochs, task, most)
        if most <= 1:
            return TuningResult(ALONE, "a group does not fit into memory")
        most = min(most, len(runs)) // 2


def _repeated_in_words(group: RunGroup) -> str:
    runs, along = count_text(len(group.runs), "run"), count_text(len(group.companions), "run")
    verbs = "has ended trains" if len(group.companions) == 1 else "have ended train"
    return f"{runs} with lost epochs in the old group: {along} that {verbs} along, for every bit to be as it was"


def _in_words(groups: Sequence[RunGroup], choice: TuningResult) -> str:
    run = groups[0].runs[0]
    count = sum(len(group.runs) for group in groups)
    what = f"{count_text(count, 'run')} of {run.model.name}, batch size {run.hyperparameters.batch_size}"
    if choice.way == ALONE:
        return f"{what}: {'alone' if count == 1 else 'one by one'}, {choice.why}"
    at_once = [
        size
        for group in groups
        for size in ([len(group.trajectories)] if group.is_threaded else map(len, group.programs))
    ]
    sizes = " and ".join(map(str, dict.fromkeys(at_once)))
    threads = f" on {choice.way.threads} threads" if choice.way.threads > 1 else ""
    return f"{what}: {sizes} at once{threads}, {choice.why}"
