"""Groups of new runs: the fusion plan of each kind of run, as given, remembered or measured."""

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
from cnnsweep.formatting.numbers import count_text
from cnnsweep.planning.batching import by_exact_model, family, split_evenly, split_lockstep
from cnnsweep.planning.stage import without_mark
from cnnsweep.storage.remembered import RememberedWay
from cnnsweep.training.autotune import ALONE, TOO_SHORT, FusionPlan, TuningResult, autotune, seconds_together
from cnnsweep.training.data_module import DataModule
from cnnsweep.training.memory_estimate import runs_that_fit
from cnnsweep.training.verify_fused import check_fused
from cnnsweep.tuner.group_cache import (
    OFF,
    Fuse,
    PlannedGroup,
)
from cnnsweep.types import Run, RunGroup, Trajectory

# Joining a group that has begun would change the results of its runs, which do not depend on what a file gets later.
_OTHERS_GO_ON = "the others of its kind continue in the group that they began in"
_OTHERS_ENDED = "the only one of its kind that is left to train"
_REUSED_FOR = 2  # times as many trajectories as a way was chosen for: beyond, another may be faster


@dataclass(frozen=True, slots=True)
class _Choice:
    """Fusion plan of a family, its measurement, if any, and a flag for a new one."""

    calibration: TuningResult
    most: int | None = None  # the number of trajectories that fit into memory
    way: RememberedWay | None = None
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class GroupPlanner:
    """Chooses the groups of new runs; see `choose_groups`.

    Attributes:
        ways: by family; it grows with each family that is measured.
        going_on: families of runs whose groups the journal remembers.
        is_edited: other runs have ended before, with which a new run might have trained.
    """

    executor: Executor
    fuse: Fuse
    under: Mapping[str, Any]
    tell: Callable[[str], None]
    ways: dict[str, RememberedWay]
    measure_all: bool
    lockstep: bool
    going_on: frozenset[str]
    is_edited: bool

    def plan(self, kinds: Sequence[Sequence[Trajectory]]) -> list[PlannedGroup]:
        """Choose the groups of runs that could all train together; there are several kinds in lock step only."""
        if self.fuse == OFF:
            kinds = [[(run,) for runs in kind for run in runs] for kind in kinds]
        try:
            choice = self._choose(max(kinds, key=len))
            groups = self._divide(kinds, choice)
            self._check(groups)
        except FusionError as error:
            every = list(itertools.chain(*kinds))
            # A model's dropout may change more than its draws, and an optimizer may depend on rounding, as one by sign.
            for parts in (by_exact_model(every), self._by_fusable_optimizer(every)):
                if len(parts) > 1:
                    return [one for part in parts for one in self.plan(_of_each_kind(kinds, part))]
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

    def _by_fusable_optimizer(self, members: Sequence[Trajectory]) -> list[list[Trajectory]]:
        """Return the trajectories in one part with optimizers that can be fused, and one with others."""
        first = {runs[-1].hyperparameters.optimizer: runs[-1] for runs in members}
        fusable = {name for name, run in first.items() if len(first) > 1 and self._is_fusable(run)}
        parts: dict[bool, list[Trajectory]] = {}
        for runs in members:
            parts.setdefault(runs[-1].hyperparameters.optimizer in fusable, []).append(runs)
        return list(parts.values())

    def _is_fusable(self, run: Run) -> bool:
        try:
            self.executor.call(check_fused, [run], TASK)
        except ExecutionError:
            raise
        except Exception:  # training alone tells the story
            return False
        return True

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


def _of_each_kind(kinds: Sequence[Sequence[Trajectory]], part: Sequence[Trajectory]) -> list[list[Trajectory]]:
    """Return the kinds, with only those trajectories that are in a part."""
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
