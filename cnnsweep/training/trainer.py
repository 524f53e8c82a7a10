"""The one loop: it trains the K runs of a group, and after each epoch hands K reports up and gets K decisions back."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cnnsweep.errors import CnnSweepError, FolderError
from cnnsweep.recording.checkpoints import LastCheckpoint
from cnnsweep.records import Decision, EpochRecord, EpochReport, Run, RunGroup, RunOutcome, RunStatus
from cnnsweep.training.feeding import TrainingTask, training_batches, validation_batches
from cnnsweep.training.fused_program import FusedProgram
from cnnsweep.training.lanes import Lane, Member, interruption_of_all, let_leave, resume
from cnnsweep.training.program import PlainProgram, Program, forward_seed
from cnnsweep.training.programs import Programs
from cnnsweep.training.schedules import learning_rate


class Watcher(Protocol):
    """Who is told how training goes, and decides what becomes of each run."""

    def batches_done(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        """Hear of progress inside an epoch; called after every batch, so it must be quick."""

    def epoch_ended(self, reports: Sequence[EpochReport]) -> Sequence[Decision]:
        """Record what was measured and return one decision a report, in their order."""

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
    """Train the runs of a group to their ends, telling `watcher` everything.

    Args:
        checkpoints: by run id, where runs that were interrupted go on.

    Whatever the model or the data raise becomes the outcome of a run that trains alone.

    Raises:
        FolderError: what is reported can no longer be written down.
        GroupError: the same, where several trajectories train together.
    """
    lanes = [Lane(runs[-1], [Member(run) for run in runs]) for runs in group.trajectories]
    try:
        with torch.random.fork_rng(devices=[task.device] if task.device.type == "cuda" else []):
            _train_lanes(build_programs(group, task), lanes, task, watcher, checkpoints)
    except FolderError:
        raise
    except Exception as error:
        if len(lanes) > 1:
            remaining = RunGroup.of([tuple(member.run for member in lane.members) for lane in lanes if lane.members])
            raise GroupError(_cause(error), remaining, is_memory=_is_out_of_memory(error)) from error
        for member in [member for lane in lanes for member in lane.members]:
            watcher.run_ended(_failure(member.run, error))


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
    # A kill between the last checkpoint and the run's end leaves a complete run that nobody knows of.
    _let_leave(programs, lanes, {}, watcher)
    while lanes:
        epoch = min(lane.epochs_done for lane in lanes) + 1
        reports = _train_epoch(programs, lanes, epoch, task, watcher)
        decisions = watcher.epoch_ended(reports)
        outcomes = {
            report.record.run_id: _outcome(report.record, decision)
            for report, decision in zip(reports, decisions, strict=True)
        }
        if all(decision is Decision.INTERRUPT for decision in decisions):
            outcomes = {**interruption_of_all(lanes), **outcomes}  # those that waited had nothing to report
        _let_leave(programs, lanes, outcomes, watcher)


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


def _let_leave(
    programs: Programs, lanes: list[Lane], outcomes: Mapping[str, RunOutcome | None], watcher: Watcher
) -> None:
    for outcome in let_leave(programs, lanes, outcomes):
        watcher.run_ended(outcome)


def _cause(error: Exception) -> str:
    return str(error) if isinstance(error, CnnSweepError) else f"{type(error).__name__}: {' '.join(str(error).split())}"


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _failure(run: Run, error: Exception) -> RunOutcome:
    cause = _cause(error)
    if _is_out_of_memory(error):
        cause = f"out of memory; use a smaller batch_size or model ({cause})"
    return RunOutcome(run.id, RunStatus.FAILED, cause, "".join(traceback.format_exception(error)))


def _outcome(record: EpochRecord, decision: Decision) -> RunOutcome | None:
    """Return how a run ends before its last epoch, or None."""
    if record.divergence is not None:
        cause = f"epoch {record.epoch}: {record.divergence}; try a smaller lr"
        return RunOutcome(record.run_id, RunStatus.DIVERGED, cause)
    if decision is Decision.STOP:
        return RunOutcome(record.run_id, RunStatus.STOPPED, f"stopped early after epoch {record.epoch}")
    if decision is Decision.INTERRUPT:
        return RunOutcome(record.run_id, RunStatus.INTERRUPTED, f"interrupted after epoch {record.epoch}")
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
    programs: Programs, lanes: Sequence[Lane], epoch: int, task: TrainingTask, watcher: Watcher
) -> list[EpochReport]:
    """Move every lane on by one epoch; return a report for each run that has not had this epoch yet."""
    start = time.perf_counter()
    due = [[member for member in lane.members if member.epochs_done < epoch] for lane in lanes]

    def train_part(program: Program, part: slice) -> _PartResult:
        ids = [member.run.id for members in due[part] for member in members]
        return _train_part(program, [lane.run for lane in lanes[part]], epoch, task, ids, watcher, programs)

    parts = programs.on_each(train_part)
    losses = torch.cat([part.losses for part in parts], 1)  # (steps, K)
    rates = [rate for part in parts for rate in part.rates]
    correct = torch.cat([part.correct for part in parts])
    validation = [figures for part in parts for figures in part.validation]
    lengths = _batch_lengths(len(task.training), lanes[0].run.hyperparameters.batch_size).to(losses.dtype)
    mean_losses = (lengths @ losses / len(task.training)).tolist()  # weighted: the last batch may be shorter
    accuracies = (correct.double() / len(task.training)).tolist()
    # Of a group's time, each run has its share.
    seconds = (time.perf_counter() - start) / sum(len(members) for members in due)
    reports = []
    for position, (lane, members) in enumerate(zip(lanes, due, strict=True)):
        if lane.epochs_done >= epoch:  # it waits for the others
            assert lane.checkpoint is not None
            programs.restore(position, lane.checkpoint.weights, lane.checkpoint.optimizer)
            continue
        lane.epochs_done = epoch
        batch_losses, weights = losses[:, position].float(), programs.weights(position)
        val_loss, val_accuracy = validation[position]
        divergence = _divergence(batch_losses, val_loss, weights)
        optimizer, gradients = programs.optimizer_state(position), programs.gradients(position)
        for member in members:
            member.epochs_done = epoch
            member.seconds += seconds
            record = EpochRecord(
                run_id=member.run.id,
                epoch=epoch,
                loss=mean_losses[position],
                accuracy=accuracies[position],
                val_loss=val_loss,
                val_accuracy=val_accuracy,
                epoch_duration=seconds,
                run_duration=member.seconds,
                lr=rates[position],
                steps=len(losses),
                divergence=divergence,
            )
            reports.append(EpochReport(record, batch_losses, weights, optimizer, gradients))
    return reports


@dataclass(frozen=True, slots=True)
class _PartResult:
    """What an epoch of one program's K runs gave, on the CPU.

    Attributes:
        losses: of every batch, (steps, K) float64.
        correct: predictions while training, (K,).
        rates: the learning rates of the last step.
        validation: mean loss and accuracy of each run on the held-out images; None where there are none.
    """

    losses: Tensor
    correct: Tensor
    rates: list[float]
    validation: list[tuple[float, float]] | list[tuple[None, None]]


class _CancelledError(Exception):
    """Another program of the group has failed, or a person wants to stop."""


def _train_part(
    program: Program,
    runs: Sequence[Run],
    epoch: int,
    task: TrainingTask,
    ids: Sequence[str],
    watcher: Watcher,
    programs: Programs,
) -> _PartResult:
    """Train the runs of one program for an epoch and measure them on the held-out images."""
    steps = task.steps_per_epoch(runs[0].hyperparameters.batch_size)
    losses: list[Tensor] = []
    correct = torch.zeros(len(runs), dtype=torch.int64, device=task.device)
    rates: list[float] = []
    for step, (images, labels) in enumerate(training_batches(task, runs, epoch)):
        if programs.is_cancelled:
            raise _CancelledError
        rates = [
            learning_rate(h.schedule, h.lr, (epoch - 1) * steps + step, steps, h.epochs)
            for h in (run.hyperparameters for run in runs)
        ]
        seeds = [forward_seed(run, epoch, step) for run in runs]
        loss, hits = program.train_step(images, labels, rates, seeds)
        losses.append(loss)  # stays on the device: reading it here would wait for every step
        correct += hits
        watcher.batches_done(ids, epoch, step + 1, steps)
    return _PartResult(torch.stack(losses).cpu().double(), correct.cpu(), rates, _validate(program, len(runs), task))


def _validate(program: Program, runs: int, task: TrainingTask) -> list[tuple[float, float]] | list[tuple[None, None]]:
    """Return mean loss and accuracy of each run on the held-out images."""
    if not len(task.validation):
        return [(None, None)] * runs
    losses, hits = zip(*[program.measure(*batch) for batch in validation_batches(task, runs)], strict=True)
    loss_sums, correct = torch.stack(losses).sum(0).cpu().double(), torch.stack(hits).sum(0).cpu().double()
    held_out = len(task.validation)
    return list(zip((loss_sums / held_out).tolist(), (correct / held_out).tolist(), strict=True))


def _batch_lengths(images: int, batch_size: int) -> Tensor:
    return torch.arange(0, images, batch_size).neg().add(images).clamp(max=batch_size)
