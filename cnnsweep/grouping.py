"""Which runs of a sweep train together: as the journal remembers it, or as measuring says."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from cnnsweep.errors import CnnSweepError, FusionError
from cnnsweep.planning.groups import by_exact_model, runs_of_a_kind, split_evenly
from cnnsweep.recording.history import SweepHistory
from cnnsweep.records import Run, RunGroup, Trajectory
from cnnsweep.training.calibration import ALONE, Calibration, Way, calibrate, seconds_together
from cnnsweep.training.checking import check_fused
from cnnsweep.training.feeding import TrainingTask
from cnnsweep.training.footprint import runs_that_fit

AUTO, OFF = "auto", "off"
Fuse = str | int  # auto, off, or the largest number of runs in a group


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """Runs that train together, or one alone, and why.

    Attributes:
        step_s: seconds a training step of one run, where that was measured.
    """

    group: RunGroup
    why: str
    step_s: float | None = None


def choose_groups(
    missing: Sequence[Run],
    history: SweepHistory,
    task: TrainingTask,
    fuse: Fuse,
    tell: Callable[[str], None],
    *,
    measure_all: bool = False,
) -> list[PlannedGroup]:
    """Return the groups to train, in the order of their first runs.

    A group that the journal remembers stays as it was, if it was chosen under the same conditions: how runs are grouped
    shows in the last bits of their results, and a resumed sweep shall equal an uninterrupted one.

    Args:
        tell: is told in a line what was chosen for each kind of run, where there was something to choose.
        measure_all: measure runs that have to train alone too, to foresee their time.
    """
    remembered = _remembered(missing, history, conditions(task, fuse))
    known = {run.id for planned in remembered for run in planned.group.runs}
    new = [run for run in missing if run.id not in known]
    planned = list(remembered)
    if fuse == OFF and not measure_all:
        planned += [PlannedGroup(RunGroup.of(((run,),)), "--fuse off") for run in new]
    else:
        epochs_done = {run.id: len(history.runs[run.id].records) for run in new if run.id in history.runs}
        for kind in runs_of_a_kind(new, epochs_done):
            planned += _plan_kind(kind, task, fuse, tell, measure_all=measure_all)
    place = {run.id: number for number, run in enumerate(missing)}
    return sorted(planned, key=lambda one: min(place[run.id] for run in one.group.runs))


def conditions(task: TrainingTask, fuse: Fuse) -> dict[str, Any]:
    """Return under what a choice of groups holds."""
    return {
        "fuse": fuse,
        "device": str(task.device),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def event_from_groups(planned: Sequence[PlannedGroup], under: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the journal's `planned` event."""
    groups = [
        {
            "programs": [[[run.id for run in runs] for runs in program] for program in one.group.programs],
            "threaded": one.group.is_threaded,
            "why": one.why,
            "step_s": one.step_s,
        }
        for one in planned
    ]
    return {"conditions": dict(under), "groups": groups}


def _remembered(missing: Sequence[Run], history: SweepHistory, under: Mapping[str, Any]) -> list[PlannedGroup]:
    by_id = {run.id: run for run in missing}
    planned = []
    for remembered in history.groups:
        if remembered.conditions != under:
            continue
        # What has ended leaves its place empty, and no more: the others stay with the program that they had.
        programs = [
            [tuple(by_id[i] for i in ids if i in by_id) for ids in trajectories] for trajectories in remembered.programs
        ]
        left = [tuple(runs for runs in trajectories if runs) for trajectories in programs]
        if any(left):
            group = RunGroup(tuple(program for program in left if program), remembered.is_threaded)
            planned.append(PlannedGroup(group, remembered.why, remembered.step_s))
    return planned


def _plan_kind(
    kind: Sequence[Trajectory], task: TrainingTask, fuse: Fuse, tell: Callable[[str], None], *, measure_all: bool
) -> list[PlannedGroup]:
    """Choose the groups of runs that could all train together."""
    if fuse == OFF:
        kind = [(run,) for runs in kind for run in runs]
    try:
        choice = _choose(kind, task, fuse, measure_all=measure_all)
    except FusionError as error:
        exact = by_exact_model(kind)
        if len(exact) > 1:  # its dropout changes more than what is drawn
            return [one for part in exact for one in _plan_kind(part, task, fuse, tell, measure_all=measure_all)]
        choice = Calibration(ALONE, str(error))
    except Exception as error:  # the model's own code raises: training tells the story, one run at a time
        cause = str(error) if isinstance(error, CnnSweepError) else f"{type(error).__name__}: {error}"
        choice = Calibration(ALONE, f"trying a step failed: {' '.join(cause.split())}")
    if len(kind) > 1 and fuse != OFF:
        tell(_in_words(kind, choice))
    groups = split_evenly(kind, choice.way.size, choice.way.threads)
    return [
        PlannedGroup(group, choice.why, choice.step_s)
        if len(group.trajectories) > 1 or choice.way == ALONE
        else PlannedGroup(group, "left over by the groups", choice.alone_s)
        for group in groups
    ]


def _choose(kind: Sequence[Trajectory], task: TrainingTask, fuse: Fuse, *, measure_all: bool) -> Calibration:
    runs = [members[-1] for members in kind]
    if len(kind) == 1 or fuse == OFF:
        why = "--fuse off" if fuse == OFF else "the only one of its kind"
        return Calibration(ALONE, why, seconds_together(runs[:1], task) if measure_all else None)
    most = runs_that_fit(runs[0], task)
    if isinstance(fuse, int):
        way = Way(min(fuse, len(runs), most))
        measured = {way: seconds_together(runs[: way.size], task)} if measure_all else {}
        choice = Calibration(way, f"--fuse {fuse}", measured.get(ALONE), measured)
    else:
        epochs = sum(run.hyperparameters.epochs for run in runs)
        choice = _calibrate_within_memory(runs, epochs, task, most)
    for group in split_evenly(kind, choice.way.size, choice.way.threads):
        for program in group.programs:
            if len(program) > 1:
                check_fused([members[-1] for members in program], task)
    return choice


def _calibrate_within_memory(runs: Sequence[Run], epochs: int, task: TrainingTask, most: int) -> Calibration:
    while True:
        with contextlib.suppress(torch.OutOfMemoryError, MemoryError):
            return calibrate(runs, epochs, task, most)
        if most <= 1:
            return Calibration(ALONE, "a group does not fit into memory")
        most = min(most, len(runs)) // 2


def _in_words(kind: Sequence[Trajectory], choice: Calibration) -> str:
    run = kind[0][0]
    count = sum(len(runs) for runs in kind)
    what = f"{count} runs of {run.model.name}, batch size {run.hyperparameters.batch_size}"
    if choice.way == ALONE:
        return f"{what}: one by one, {choice.why}"
    groups = split_evenly(kind, choice.way.size)
    sizes = " and ".join(dict.fromkeys(str(len(group.trajectories)) for group in groups))
    threads = f" on {choice.way.threads} threads" if choice.way.threads > 1 else ""
    return f"{what}: {sizes} at once{threads}, {choice.why}"
