"""The one loop: it trains the K runs of a group, and after each epoch hands K reports up and gets K decisions back."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cnnsweep.data.augment import augment
from cnnsweep.data.batches import PixelScale, epoch_order
from cnnsweep.data.images import ImageSet
from cnnsweep.errors import CnnSweepError, FolderError
from cnnsweep.recording.checkpoints import LastCheckpoint
from cnnsweep.records import Decision, EpochRecord, EpochReport, Run, RunGroup, RunOutcome, RunStatus
from cnnsweep.training.program import PlainProgram, Program, forward_seed
from cnnsweep.training.schedules import learning_rate


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """What all runs of a sweep share.

    Attributes:
        training, validation: positions in `images`, int64; no validation is an empty tensor.
    """

    images: ImageSet
    training: Tensor
    validation: Tensor
    pixels: PixelScale
    num_classes: int
    device: torch.device
    precision: str


class Watcher(Protocol):
    """Who is told how training goes, and decides what becomes of each run."""

    def batches_done(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        """Hear of progress inside an epoch; called after every batch, so it must be quick."""

    def epoch_ended(self, reports: Sequence[EpochReport]) -> Sequence[Decision]:
        """Record what was measured and return one decision a report, in their order."""

    def run_ended(self, outcome: RunOutcome) -> None:
        """Hear how a run ended."""


@dataclass(slots=True)
class _Lane:
    """A run on its way: how far it is."""

    run: Run
    epochs_done: int = 0
    seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        return self.epochs_done >= self.run.hyperparameters.epochs


def train_group(
    group: RunGroup, task: TrainingTask, watcher: Watcher, checkpoints: Mapping[str, LastCheckpoint]
) -> None:
    """Train the runs of a group to their ends, telling `watcher` everything.

    Args:
        checkpoints: by run id, where runs that were interrupted go on.

    Whatever the model or the data raise becomes the outcome of the runs that were still training.

    Raises:
        FolderError: what is reported can no longer be written down.
    """
    lanes = [_Lane(run) for run in group.runs]
    try:
        with torch.random.fork_rng(devices=[task.device] if task.device.type == "cuda" else []):
            _train_lanes(lanes, task, watcher, checkpoints)
    except FolderError:
        raise
    except Exception as error:
        for lane in lanes:
            watcher.run_ended(_failure(lane.run, error))


def _train_lanes(
    lanes: list[_Lane], task: TrainingTask, watcher: Watcher, checkpoints: Mapping[str, LastCheckpoint]
) -> None:
    """Train until no lane is left in `lanes`."""
    program = build_program([lane.run for lane in lanes], task)
    for position, lane in enumerate(lanes):
        if last := checkpoints.get(lane.run.id):
            program.restore(position, last.weights, last.optimizer)
            lane.epochs_done, lane.seconds = last.record.epoch, last.record.run_duration
    # A kill between the last checkpoint and the run's end leaves a complete run that nobody knows of.
    _let_leave(program, lanes, [_outcome_if_complete(lane) for lane in lanes], watcher)
    while lanes:
        reports = _train_epoch(program, lanes, task, watcher)
        decisions = watcher.epoch_ended(reports)
        outcomes = [
            _outcome(lane, report.record, decision)
            for lane, report, decision in zip(lanes, reports, decisions, strict=True)
        ]
        _let_leave(program, lanes, outcomes, watcher)


def build_program(runs: Sequence[Run], task: TrainingTask) -> Program:
    """Return the program that trains these runs."""
    assert len(runs) == 1, "groups of several runs need a fused program"
    return PlainProgram(runs[0], task.images.image_shape, task.num_classes, task.device, task.precision)


def _let_leave(program: Program, lanes: list[_Lane], outcomes: Sequence[RunOutcome | None], watcher: Watcher) -> None:
    """Take the lanes that have an outcome out of program and list."""
    staying = [position for position, outcome in enumerate(outcomes) if outcome is None]
    if 0 < len(staying) < len(lanes):
        program.keep(staying)
    lanes[:] = [lanes[position] for position in staying]
    for outcome in outcomes:
        if outcome is not None:
            watcher.run_ended(outcome)


def _failure(run: Run, error: Exception) -> RunOutcome:
    cause = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in cause:
        cause = f"out of memory; use a smaller batch_size or model ({cause})"
    elif isinstance(error, CnnSweepError):
        cause = str(error)
    return RunOutcome(run.id, RunStatus.FAILED, cause, "".join(traceback.format_exception(error)))


def _outcome_if_complete(lane: _Lane) -> RunOutcome | None:
    return RunOutcome(lane.run.id, RunStatus.FINISHED) if lane.is_complete else None


def _outcome(lane: _Lane, record: EpochRecord, decision: Decision) -> RunOutcome | None:
    if record.divergence is not None:
        cause = f"epoch {record.epoch}: {record.divergence}; try a smaller lr"
        return RunOutcome(lane.run.id, RunStatus.DIVERGED, cause)
    if lane.is_complete:
        return RunOutcome(lane.run.id, RunStatus.FINISHED)
    if decision is Decision.STOP:
        return RunOutcome(lane.run.id, RunStatus.STOPPED, f"stopped early after epoch {lane.epochs_done}")
    if decision is Decision.INTERRUPT:
        return RunOutcome(lane.run.id, RunStatus.INTERRUPTED, f"interrupted after epoch {lane.epochs_done}")
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


def _train_epoch(program: Program, lanes: Sequence[_Lane], task: TrainingTask, watcher: Watcher) -> list[EpochReport]:
    """Move every lane on by one epoch."""
    start = time.perf_counter()
    losses, correct, rates = _train_batches(program, lanes, task, watcher)
    lengths = _batch_lengths(len(task.training), lanes[0].run.hyperparameters.batch_size).to(losses.dtype)
    mean_losses = (lengths @ losses / len(task.training)).tolist()  # weighted: the last batch may be shorter
    accuracies = (correct.cpu().double() / len(task.training)).tolist()
    validation = _validate(program, task)
    seconds = time.perf_counter() - start
    reports = []
    for position, lane in enumerate(lanes):
        lane.epochs_done += 1
        lane.seconds += seconds / len(lanes)  # of a group's time, each run has its share
        batch_losses, weights = losses[:, position].float(), program.weights(position)
        val_loss, val_accuracy = (
            (None, None) if validation is None else (validation[0][position], validation[1][position])
        )
        record = EpochRecord(
            run_id=lane.run.id,
            epoch=lane.epochs_done,
            loss=mean_losses[position],
            accuracy=accuracies[position],
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            epoch_duration=seconds / len(lanes),
            run_duration=lane.seconds,
            lr=rates[position],
            steps=len(losses),
            divergence=_divergence(batch_losses, val_loss, weights),
        )
        reports.append(
            EpochReport(record, batch_losses, weights, program.optimizer_state(position), program.gradients(position))
        )
    return reports


def _train_batches(
    program: Program, lanes: Sequence[_Lane], task: TrainingTask, watcher: Watcher
) -> tuple[Tensor, Tensor, list[float]]:
    """Return the loss of every batch (steps, K) float64 on the CPU, correct predictions (K,), and the last rates."""
    runs = [lane.run for lane in lanes]
    ids = [run.id for run in runs]
    epochs = [lane.epochs_done + 1 for lane in lanes]  # lanes that were resumed may be at different ones
    orders = torch.stack(
        [
            epoch_order(task.training, run.hyperparameters.shuffle, run.hyperparameters.seed, epoch)
            for run, epoch in zip(runs, epochs, strict=True)
        ]
    )  # (K, images)
    chunks = torch.split(orders, runs[0].hyperparameters.batch_size, dim=1)
    steps = len(chunks)
    losses: list[Tensor] = []
    correct = torch.zeros(len(runs), dtype=torch.int64, device=task.device)
    rates: list[float] = []
    for step, (items, (images, labels)) in enumerate(zip(chunks, _batches(task, chunks), strict=True)):
        rates = [
            learning_rate(
                run.hyperparameters.schedule,
                run.hyperparameters.lr,
                lane.epochs_done * steps + step,
                steps,
                run.hyperparameters.epochs,
            )
            for lane, run in zip(lanes, runs, strict=True)
        ]
        inputs = task.pixels.to_model_input(_augmented(images, items, runs, epochs).flatten(0, 1))
        seeds = [forward_seed(run, epoch, step) for run, epoch in zip(runs, epochs, strict=True)]
        loss, hits = program.train_step(inputs, labels, rates, seeds)
        losses.append(loss)  # stays on the device: reading it here would wait for every step
        correct += hits
        watcher.batches_done(ids, epochs[0], step + 1, steps)
    return torch.stack(losses).cpu().double(), correct, rates


def _batches(task: TrainingTask, chunks: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    return task.images.batches(chunks, task.device)


def _augmented(images: Tensor, items: Tensor, runs: Sequence[Run], epochs: Sequence[int]) -> Tensor:
    """Return the batch (K, N, C, H, W) with each run's own augmentation."""
    hows = [run.hyperparameters.augment for run in runs]
    if not any(how.flip or how.crop or how.cutout for how in hows):
        return images
    items = items.to(images.device)
    return torch.stack(
        [augment(images[k], items[k], hows[k], runs[k].hyperparameters.seed, epochs[k]) for k in range(len(runs))]
    )


def _validate(program: Program, task: TrainingTask) -> tuple[list[float], list[float]] | None:
    """Return mean loss and accuracy of each run on the held-out images, or None if there are none."""
    if not len(task.validation):
        return None
    loss_sums: Tensor | float = 0.0
    correct: Tensor | int = 0
    for images, labels in _batches(task, torch.split(task.validation, evaluation_batch_size(task.images.image_shape))):
        loss_sum, hits = program.measure(task.pixels.to_model_input(images), labels)
        loss_sums, correct = loss_sums + loss_sum, correct + hits
    assert isinstance(loss_sums, Tensor)
    assert isinstance(correct, Tensor)
    held_out = len(task.validation)
    return (loss_sums.cpu().double() / held_out).tolist(), (correct.cpu().double() / held_out).tolist()


def evaluation_batch_size(image_shape: tuple[int, int, int]) -> int:
    """Return how many images are measured at once: the same for every run, and little memory for large images."""
    return max(16, min(1000, 4_000_000 // math.prod(image_shape)))


def _batch_lengths(images: int, batch_size: int) -> Tensor:
    return torch.arange(0, images, batch_size).neg().add(images).clamp(max=batch_size)
