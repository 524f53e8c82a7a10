"""The one loop: it trains the K runs of a group, and after each epoch hands K reports up and gets K decisions back."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cnnsweep.errors import FolderError
from cnnsweep.schedules.base import SCHEDULES
from cnnsweep.seeding import kept_generators
from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.training.data_module import TrainingTask, training_batches, validation_batches
from cnnsweep.training.failures import failed_outcome, is_out_of_memory, one_line
from cnnsweep.training.fused_learner import FusedProgram
from cnnsweep.training.learner import PlainProgram, Program, forward_seed
from cnnsweep.training.learner_group import Programs
from cnnsweep.training.trial_slots import (
    Lane,
    Member,
    at_progress,
    common_epoch,
    interruption_of_all,
    let_leave,
    only,
    resume,
    start_along,
)
from cnnsweep.types import Decision, EpochRecord, EpochReport, FailureKind, Run, RunGroup, RunOutcome, RunStatus


class Watcher(Protocol):
    """Who is told how training goes, and decides what becomes of each run."""

    def batches_done(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        """Hear of progress inside an epoch; called after every batch, so it must be quick."""

    def epoch_ended(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
        """Record what was measured, and return what becomes of runs, by id; one that is not in it goes on.

        Args:
            reports: of one epoch; at least one. Runs that were ahead after a crash have reported it before.

        Returns:
            Decisions about any runs of the group that are at this epoch, also those without a report. About other
            runs they have no effect. If every run reported is interrupted, so is the whole group.
        """

    def resumed(self, run_ids: Sequence[str]) -> Mapping[str, Decision]:
        """Return what becomes of runs that go on from their checkpoints, as `epoch_ended` does, before they train.

        A crash may have come between an epoch's record and the decision about it. Called once for a group whose runs
        have all trained for equally many epochs, at least one; where some are ahead, the next `epoch_ended` is to
        decide for all. A group that goes on in parts asks again, about an epoch that may have been decided about.
        """

    def run_ended(self, outcome: RunOutcome) -> None:
        """Hear how a run ended."""


class GroupError(Exception):
    """A group of several runs cannot go on together; the runs are as they were after the last epoch written down.

    Attributes:
        remaining: the runs that have not ended.
        is_memory: a smaller group may work.
    """

    def __init__(self, cause: str, remaining: RunGroup, *, is_memory: bool) -> None:
        super().__init__(cause)
        self.remaining = remaining
        self.is_memory = is_memory


def train_group(
    group: RunGroup, task: TrainingTask, watcher: Watcher, checkpoints: Mapping[str, LastCheckpoint]
) -> None:
    """Train the runs of a group to their ends or goals, telling `watcher` everything.

    Args:
        checkpoints: by run id, where runs that were interrupted go on.

    Whatever the model or the data raise becomes the outcome of a run that trains alone.

    Raises:
        FolderError: what is reported can no longer be written down.
        GroupError: the same, where several trajectories train together.
    """
    lanes = [_lane(runs, group) for runs in group.trajectories]
    try:
        with kept_generators(task.device):
            _train_lanes(build_programs(group, task), lanes, task, watcher, checkpoints)
    except FolderError:
        raise
    except Exception as error:
        if len(lanes) > 1:
            remaining = only(group, {member.run.id for lane in lanes for member in lane.members})
            raise GroupError(one_line(error), remaining, is_memory=is_out_of_memory(error)) from error
        for member in [member for lane in lanes for member in lane.members]:
            watcher.run_ended(failed_outcome(member.run, error))


def _train_lanes(
    programs: Programs,
    lanes: list[Lane],
    task: TrainingTask,
    watcher: Watcher,
    checkpoints: Mapping[str, LastCheckpoint],
) -> None:
    """Train until no lane is left in `lanes`."""
    for position, lane in enumerate(lanes):
        resume(programs, position, lane, checkpoints)
    start_along(lanes)
    outcomes: dict[str, RunOutcome] = {}
    if common_epoch(lanes):
        decisions = watcher.resumed([member.run.id for lane in lanes for member in lane.members])
        outcomes = _outcomes(lanes, lanes[0].progress, decisions, {})
    # A kill between the last checkpoint and the run's end leaves a complete run that nobody knows of.
    _let_leave(programs, lanes, outcomes, watcher)
    while lanes:
        progress = min(lane.progress for lane in lanes if lane.members) + 1
        reports = _train_epoch(programs, lanes, progress, task, watcher)
        decisions = watcher.epoch_ended(reports) if reports else {}
        divergences = {report.record.run_id: report.record.divergence for report in reports}
        outcomes = _outcomes(lanes, progress, decisions, divergences)
        if reports and all(decisions.get(run_id) is Decision.INTERRUPT for run_id in divergences):
            outcomes = {**interruption_of_all(lanes), **outcomes}  # those that wait have nothing to report
        _let_leave(programs, lanes, outcomes, watcher)


def _lane(runs: Sequence[Run], group: RunGroup) -> Lane:
    members = [Member(run) for run in runs if run.id not in group.companions]
    along = max((group.companions.get(run.id, 0) for run in runs), default=0)
    return Lane(runs[-1], members, group.goals.get(runs[-1].id), along=along)


def build_programs(group: RunGroup, task: TrainingTask) -> Programs:
    """Return what trains a group, a position for each trajectory.

    Raises:
        FusionError: it needs a fused model, and there can be none.
    """
    about = (task.images.image_shape, task.num_classes, task.device, task.precision)

    def build(runs: Sequence[Run]) -> Program:
        return PlainProgram(runs[0], *about) if len(runs) == 1 else FusedProgram(runs, *about)

    runs_of = [[runs[-1] for runs in program] for program in group.programs]
    return Programs(runs_of, build, is_threaded=group.is_threaded)


def _let_leave(programs: Programs, lanes: list[Lane], outcomes: Mapping[str, RunOutcome], watcher: Watcher) -> None:
    for outcome in let_leave(programs, lanes, outcomes):
        watcher.run_ended(outcome)


def _outcomes(
    lanes: Sequence[Lane], progress: int, decisions: Mapping[str, Decision], divergences: Mapping[str, str | None]
) -> dict[str, RunOutcome]:
    """Return how runs end that are so far on the way, in an epoch that may not be their last."""
    there = [(member.run.id, member.epochs_done) for member in at_progress(lanes, progress)]
    outcomes = [_outcome(run_id, epoch, decisions.get(run_id), divergences.get(run_id)) for run_id, epoch in there]
    return {outcome.run_id: outcome for outcome in outcomes if outcome is not None}


def _outcome(run_id: str, epoch: int, decision: Decision | None, divergence: str | None = None) -> RunOutcome | None:
    """Return how a run ends before its last epoch, or None."""
    if divergence is not None:
        cause = f"epoch {epoch}: {divergence}; try a smaller lr"
        return RunOutcome(run_id, RunStatus.DIVERGED, cause, failure=FailureKind.DIVERGED)
    if decision is Decision.STOP:
        return RunOutcome(run_id, RunStatus.STOPPED, f"stopped early after epoch {epoch}")
    if decision is Decision.INTERRUPT:
        return RunOutcome(run_id, RunStatus.INTERRUPTED, f"interrupted after epoch {epoch}")
    return None


def _divergence(batch_losses: Tensor, val_loss: float | None, weights: Mapping[str, Tensor]) -> str | None:
    """Return in words what became infinite or NaN in an epoch, or None."""
    finite = torch.isfinite(batch_losses)
    if not finite.all():
        batch = int((~finite).nonzero()[0, 0])
        return f"the loss became {batch_losses[batch].item()} in batch {batch + 1}"
    if val_loss is not None and not math.isfinite(val_loss):
        return f"the validation loss became {val_loss}"
    return None if _all_finite(weights) else "a weight became infinite or NaN in the last batch"


def _all_finite(weights: Mapping[str, Tensor]) -> bool:
    # A sum is NaN or infinite if any element is, in one pass and without a mask of the tensor's size. A finite sum of
    # float64 cannot overflow from float32 elements.
    sums = [
        w.sum(dtype=torch.float64 if w.device.type != "mps" else None)
        for w in weights.values()
        if w.is_floating_point()
    ]
    return not sums or bool(torch.isfinite(torch.stack(sums)).all())


def _train_epoch(
    programs: Programs, lanes: Sequence[Lane], progress: int, task: TrainingTask, watcher: Watcher
) -> list[EpochReport]:
    """Move every lane on by one epoch; return a report for each run that was not so far on the way yet."""
    start = time.perf_counter()
    epochs = [lane.epoch_at(progress) for lane in lanes]
    due = [
        [member for member in lane.members if member.epochs_done < epoch]
        for lane, epoch in zip(lanes, epochs, strict=True)
    ]

    def train_part(program: Program, part: slice) -> list[_Figures | None]:
        if all(lane.progress >= progress or not lane.members for lane in lanes[part]):
            return [None] * len(lanes[part])  # no one's figures depend on it: it just waits
        ids = [member.run.id for members in due[part] for member in members]
        runs = [lane.run for lane in lanes[part]]
        return [*_train_part(program, runs, epochs[part], task, ids, watcher, programs)]

    figures = [of_run for of_part in programs.on_each(train_part) for of_run in of_part]
    # Of a group's time, each run has its share.
    seconds = (time.perf_counter() - start) / max(1, sum(len(members) for members in due))
    reports = []
    for position, (lane, epoch, members, measured) in enumerate(zip(lanes, epochs, due, figures, strict=True)):
        if not lane.members:  # it trains along, or would if its program trained
            lane.epochs_done = epoch
            continue
        if measured is None:
            continue
        if lane.epochs_done >= epoch:  # it waits for the others
            assert lane.checkpoint is not None
            programs.restore(position, lane.checkpoint.weights, lane.checkpoint.optimizer)
            continue
        lane.epochs_done = epoch
        batch_losses, weights = measured.batch_losses.float(), programs.weights(position)
        divergence = _divergence(batch_losses, measured.val_loss, weights)
        optimizer, gradients = programs.optimizer_state(position), programs.gradients(position)
        for member in members:
            member.epochs_done = epoch
            member.seconds += seconds
            record = EpochRecord(
                run_id=member.run.id,
                epoch=epoch,
                loss=measured.loss,
                accuracy=measured.accuracy,
                val_loss=measured.val_loss,
                val_accuracy=measured.val_accuracy,
                epoch_duration=seconds,
                run_duration=member.seconds,
                lr=measured.rate,
                steps=len(batch_losses),
                divergence=divergence,
            )
            reports.append(EpochReport(record, batch_losses, weights, optimizer, gradients))
    return reports


@dataclass(frozen=True, slots=True)
class _Figures:
    """What an epoch of one run gave, on the CPU.

    Attributes:
        batch_losses: (steps,) float64.
        loss, accuracy: while training, over all its images.
        rate: the learning rate of the last step.
        val_loss, val_accuracy: on the held-out images; None where there are none.
    """

    batch_losses: Tensor
    loss: float
    accuracy: float
    rate: float
    val_loss: float | None
    val_accuracy: float | None


class _CancelledError(Exception):
    """Another program of the group has failed, or a person wants to stop."""


def _train_part(
    program: Program,
    runs: Sequence[Run],
    epochs: Sequence[int],
    task: TrainingTask,
    ids: Sequence[str],
    watcher: Watcher,
    programs: Programs,
) -> list[_Figures]:
    """Train the runs of one program for an epoch and measure them on the held-out images of their fold."""
    lengths = torch.tensor(task.batch_lengths(runs[0]), dtype=torch.float64)
    steps, images_in_all = len(lengths), len(task.part(runs[0]).training)
    losses: list[Tensor] = []
    correct = torch.zeros(len(runs), dtype=torch.int64, device=task.device)
    rates: list[float] = []
    own = list(zip(runs, epochs, strict=True))
    schedules = [SCHEDULES.make(run.hyperparameters.schedule) for run in runs]
    for step, (images, labels) in enumerate(training_batches(task, runs, epochs)):
        if programs.is_cancelled:
            raise _CancelledError
        rates = [
            schedule.lr_at((epoch - 1) * steps + step, steps, run.hyperparameters.epochs, run.hyperparameters.lr)
            for schedule, (run, epoch) in zip(schedules, own, strict=True)
        ]
        seeds = [forward_seed(run, epoch, step) for run, epoch in own]
        loss, hits = program.train_step(images, labels, rates, seeds)
        losses.append(loss)  # stays on the device: reading it here would wait for every step
        correct += hits
        watcher.batches_done(ids, min(epochs), step + 1, steps)
    validation = _validate(program, runs, task)
    all_losses = torch.stack(losses).cpu().double()  # (steps, K)
    mean_losses = (lengths @ all_losses / images_in_all).tolist()  # weighted: the last batch may be shorter
    accuracies = (correct.cpu().double() / images_in_all).tolist()
    return [
        _Figures(all_losses[:, position], mean_losses[position], accuracies[position], rates[position], *held_out)
        for position, held_out in enumerate(validation)
    ]


def _validate(
    program: Program, runs: Sequence[Run], task: TrainingTask
) -> list[tuple[float, float]] | list[tuple[None, None]]:
    """Return mean loss and accuracy of each run on the held-out images."""
    held_out = len(task.part(runs[0]).validation)
    if not held_out:
        return [(None, None)] * len(runs)
    losses, hits = zip(*[program.measure(*batch) for batch in validation_batches(task, runs)], strict=True)
    loss_sums, correct = torch.stack(losses).sum(0).cpu().double(), torch.stack(hits).sum(0).cpu().double()
    return list(zip((loss_sums / held_out).tolist(), (correct / held_out).tolist(), strict=True))
