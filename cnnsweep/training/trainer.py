"""The training loop: trains the K runs of a group, reports each epoch, and receives decisions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain

import torch
from torch import Tensor

from cnnsweep.augmentations.mix import has_mix
from cnnsweep.errors import FolderError
from cnnsweep.metrics.names import LOSS, on_validation
from cnnsweep.metrics.objective import Objective
from cnnsweep.schedules.base import SCHEDULES
from cnnsweep.seeding import kept_generators
from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.training.accumulation import optimizer_steps, step_parts
from cnnsweep.training.callback import TrainerCallback
from cnnsweep.training.class_weights import class_weights
from cnnsweep.training.data_module import DataModule, one_of_each_batch, training_batches
from cnnsweep.training.divergence import divergence_of
from cnnsweep.training.failures import failed_outcome, is_out_of_memory, one_line
from cnnsweep.training.fused_learner import FusedLearner
from cnnsweep.training.group_epoch import GroupEpoch, Measured
from cnnsweep.training.label_mix import label_mix
from cnnsweep.training.learner import Learner, SingleLearner, forward_seed
from cnnsweep.training.learner_group import LearnerGroup
from cnnsweep.training.metric_sums import joined
from cnnsweep.training.trial_slots import (
    SlotState,
    TrialSlot,
    at_progress,
    common_epoch,
    interruption_of_all,
    let_leave,
    only,
    resume,
    start_along,
)
from cnnsweep.training.validation import held_out_metrics, validate, validate_averages
from cnnsweep.training.weight_choice import best_weights
from cnnsweep.training.weight_means import mean_learner
from cnnsweep.types import (
    PLAIN,
    SWA,
    Decision,
    EpochRecord,
    EpochReport,
    FailureKind,
    Run,
    RunGroup,
    RunOutcome,
    RunStatus,
)


class GroupError(Exception):
    """A group that cannot train fused; its runs are in the state after the last recorded epoch.

    Attributes:
        remaining: the unfinished runs.
        is_memory: memory ran out, so a smaller group may work.
    """

    def __init__(self, cause: str, remaining: RunGroup, *, is_memory: bool) -> None:
        super().__init__(cause)
        self.remaining = remaining
        self.is_memory = is_memory


def train_group(
    group: RunGroup, task: DataModule, callback: TrainerCallback, checkpoints: Mapping[str, LastCheckpoint]
) -> None:
    """Train the runs of a group to their last epochs or stop epochs, and report everything to `callback`.

    Learners that take turns train in this loop: a traceback or profile has few frames above a training step.

    Args:
        checkpoints: checkpoints of interrupted runs, by run id.

    An error of the model or the data becomes the outcome of a run that trains alone.

    Raises:
        FolderError: the folder can no longer be written.
        GroupError: the model or the data raised while several trajectories trained together.
    """
    trial_slots = [_trial_slot(runs, group) for runs in group.trajectories]
    try:
        with kept_generators(task.device):
            programs = build_learners(group, task)
            _begin(programs, trial_slots, callback, checkpoints)
            while trial_slots:
                epoch = GroupEpoch.next_of(trial_slots)
                train = partial(_train_part, epoch, task, callback, programs)
                measured_runs: list[Measured | None] = []
                if programs.is_threaded:
                    measured_runs += chain.from_iterable(programs.map(train))
                else:
                    for program, part in programs.parts:
                        measured_runs += train(program, part)
                _add_to_means(epoch, programs, measured_runs, task)
                _end_epoch(epoch, programs, trial_slots, measured_runs, task.objective, callback)
    except FolderError:
        raise
    except Exception as error:
        if len(trial_slots) > 1:
            remaining = only(group, {member.run.id for trial_slot in trial_slots for member in trial_slot.members})
            raise GroupError(one_line(error), remaining, is_memory=is_out_of_memory(error)) from error
        for member in [member for trial_slot in trial_slots for member in trial_slot.members]:
            callback.on_run_end(failed_outcome(member.run, error))


def _trial_slot(runs: Sequence[Run], group: RunGroup) -> TrialSlot:
    members = [SlotState(run) for run in runs if run.id not in group.companions]
    along = max((group.companions.get(run.id, 0) for run in runs), default=0)
    return TrialSlot(runs[-1], members, group.stop_epochs.get(runs[-1].id), along=along)


def build_learners(group: RunGroup, task: DataModule) -> LearnerGroup:
    """Return the learners of a group, with a position for each trajectory.

    Raises:
        FusionError: its models cannot be fused.
    """
    about = (task.images.image_shape, task.num_classes, task.device, task.precision)

    def build(runs: Sequence[Run]) -> Learner:
        weights = class_weights(runs, task)
        return SingleLearner(runs[0], *about, weights) if len(runs) == 1 else FusedLearner(runs, *about, weights)

    runs_of = [[runs[-1] for runs in program] for program in group.programs]
    return LearnerGroup(runs_of, build, is_threaded=group.is_threaded)


def _begin(
    programs: LearnerGroup,
    trial_slots: list[TrialSlot],
    callback: TrainerCallback,
    checkpoints: Mapping[str, LastCheckpoint],
) -> None:
    """Restore the checkpoint of every slot, and drop those that have already ended."""
    for position, trial_slot in enumerate(trial_slots):
        resume(programs, position, trial_slot, checkpoints)
    start_along(trial_slots)
    outcomes: dict[str, RunOutcome] = {}
    if common_epoch(trial_slots):
        decisions = callback.on_resume([member.run.id for trial_slot in trial_slots for member in trial_slot.members])
        outcomes = _outcomes(trial_slots, trial_slots[0].progress, decisions, {})
    # A kill between the last checkpoint and the run's end leaves a complete run without an outcome.
    _let_leave(programs, trial_slots, outcomes, callback)


def _end_epoch(
    epoch: GroupEpoch,
    programs: LearnerGroup,
    trial_slots: list[TrialSlot],
    measured_runs: Sequence[Measured | None],
    objective: Objective,
    callback: TrainerCallback,
) -> None:
    """Report an epoch, and drop the slots that end with it or by a decision."""
    reports = _reports(epoch, programs, trial_slots, measured_runs, objective)
    decisions = callback.on_epoch_end(reports) if reports else {}
    divergences = {report.record.run_id: report.record.divergence for report in reports}
    outcomes = _outcomes(trial_slots, epoch.progress, decisions, divergences)
    if reports and all(decisions.get(run_id) is Decision.INTERRUPT for run_id in divergences):
        outcomes = {**interruption_of_all(trial_slots), **outcomes}  # waiting slots have nothing to report
    _let_leave(programs, trial_slots, outcomes, callback)


def _let_leave(
    programs: LearnerGroup, trial_slots: list[TrialSlot], outcomes: Mapping[str, RunOutcome], callback: TrainerCallback
) -> None:
    for outcome in let_leave(programs, trial_slots, outcomes):
        callback.on_run_end(outcome)


def _outcomes(
    trial_slots: Sequence[TrialSlot],
    progress: int,
    decisions: Mapping[str, Decision],
    divergences: Mapping[str, str | None],
) -> dict[str, RunOutcome]:
    """Return the outcomes of runs at this progress that end before their last epoch."""
    there = [(member.run.id, member.epochs_done) for member in at_progress(trial_slots, progress)]
    outcomes = [_outcome(run_id, epoch, decisions.get(run_id), divergences.get(run_id)) for run_id, epoch in there]
    return {outcome.run_id: outcome for outcome in outcomes if outcome is not None}


def _outcome(run_id: str, epoch: int, decision: Decision | None, divergence: str | None = None) -> RunOutcome | None:
    """Return the outcome of a run that ends before its last epoch, or None."""
    if divergence is not None:
        cause = f"epoch {epoch}: {divergence}; try a smaller lr"
        return RunOutcome(run_id, RunStatus.DIVERGED, cause, failure=FailureKind.DIVERGED)
    if decision is Decision.STOP:
        return RunOutcome(run_id, RunStatus.STOPPED, f"stopped early after epoch {epoch}")
    if decision is Decision.INTERRUPT:
        return RunOutcome(run_id, RunStatus.INTERRUPTED, f"interrupted after epoch {epoch}")
    return None


def _add_to_means(
    epoch: GroupEpoch, programs: LearnerGroup, measured_runs: Sequence[Measured | None], task: DataModule
) -> None:
    """Add the weights after an epoch to the means of runs with `swa`, and measure the means that are complete."""
    for position, (trial_slot, number, measured) in enumerate(
        zip(epoch.trial_slots, epoch.numbers, measured_runs, strict=True)
    ):
        run, mean = trial_slot.run, trial_slot.mean
        is_ahead = trial_slot.epochs_done >= number
        if mean is None or measured is None or is_ahead or number <= run.epochs - run.hyperparameters.swa_epochs:
            continue
        mean.add(programs.weights(position))
        if number == run.epochs:
            values = validate(mean_learner(run, mean, task), [run], task)
            trial_slot.mean_metrics = held_out_metrics(values, 0, task)


def _reports(
    epoch: GroupEpoch,
    programs: LearnerGroup,
    trial_slots: Sequence[TrialSlot],
    measured_runs: Sequence[Measured | None],
    objective: Objective,
) -> list[EpochReport]:
    """Advance every slot by the epoch, and return a report of each run that had not trained it."""
    # Of a group's time, each run has its share.
    seconds = (time.perf_counter() - epoch.start) / max(1, sum(len(members) for members in epoch.due))
    reports = []
    for position, (trial_slot, number, members, measured) in enumerate(
        zip(trial_slots, epoch.numbers, epoch.due, measured_runs, strict=True)
    ):
        if not trial_slot.members:  # it trains along, or would if its learner trained
            trial_slot.epochs_done = number
            continue
        if measured is None:
            continue
        if trial_slot.epochs_done >= number:  # it waits for the others
            assert trial_slot.checkpoint is not None
            programs.restore(position, trial_slot.checkpoint.weights, trial_slot.checkpoint.optimizer)
            continue
        trial_slot.epochs_done = number
        trial_slot.history.append(measured.metrics)
        batch_losses, weights = measured.batch_losses.float(), programs.weights(position)
        divergence = divergence_of(batch_losses, measured.metrics[on_validation(LOSS)], weights)
        optimizer, gradients = programs.optimizer_state(position), programs.gradients(position)
        if trial_slot.mean is not None:
            optimizer = {**optimizer, SWA: trial_slot.mean.state()}
        by_weights = measured.by_weights(trial_slot.mean_metrics)
        chosen = PLAIN if divergence is not None else best_weights(by_weights, objective)
        averaged = None if chosen == PLAIN else {**weights, **optimizer[chosen]["weights"]}
        for member in members:
            member.epochs_done = number
            member.seconds += seconds
            record = EpochRecord(
                run_id=member.run.id,
                epoch=number,
                metrics={**measured.metrics, **by_weights[chosen]},
                epoch_duration=seconds,
                run_duration=member.seconds,
                lr=measured.rate,
                steps=len(batch_losses),
                divergence=divergence,
                weights=chosen,
                others={name: values for name, values in by_weights.items() if values and name != chosen},
            )
            reports.append(EpochReport(record, batch_losses, weights, optimizer, gradients, averaged))
    return reports


class _CancelledError(Exception):
    """Another learner of the group failed, or the user stops the sweep."""


def _train_part(
    epoch: GroupEpoch,
    task: DataModule,
    callback: TrainerCallback,
    programs: LearnerGroup,
    program: Learner,
    part: slice,
) -> Sequence[Measured | None]:
    """Train the runs of one learner for an epoch and evaluate them on the held-out images of their fold."""
    slots, epochs = epoch.trial_slots[part], epoch.numbers[part]
    runs = [trial_slot.run for trial_slot in slots]
    if epoch.is_done(part):  # it only waits: no other learner depends on it
        return [None] * len(runs)
    ids = epoch.run_ids(part)
    lengths = task.batch_lengths(runs[0])
    batches, images_in_all = len(lengths), sum(lengths)
    parts = step_parts(lengths, runs[0].hyperparameters.accumulate)
    steps = optimizer_steps(parts)
    losses: list[Tensor] = []
    sums = task.metric_sums(runs[0], is_training=True)
    rates: list[float] = []
    own = list(zip(runs, epochs, strict=True))
    schedules = [SCHEDULES.make(run.hyperparameters.schedule) for run in runs]
    mixing = one_of_each_batch(own) if any(has_mix(run.hyperparameters.augment) for run in runs) else []
    # One that is ahead of the others trains along once more, with the rates that it had.
    factors = [
        schedule.lr_factor(trial_slot.history[: number - 1])
        for schedule, trial_slot, number in zip(schedules, slots, epochs, strict=True)
    ]
    for batch, (images, labels) in enumerate(training_batches(task, runs, epochs)):
        if programs.is_cancelled:
            raise _CancelledError
        step = parts[batch].step
        rates = [
            schedule.lr_at((number - 1) * steps + step, steps, run.hyperparameters.epochs, run.hyperparameters.lr)
            * factor
            for schedule, factor, (run, number) in zip(schedules, factors, own, strict=True)
        ]
        seeds = [forward_seed(run, number, batch) for run, number in own]
        mix = label_mix(mixing, batch, labels, task.images.image_shape[1:])
        loss, predictions = program.train_step(images, labels, rates, seeds, mix, parts[batch])
        losses.append(loss)  # stays on the device: reading it here would wait for every step
        sums.add(predictions)
        callback.on_batch_end(ids, min(epochs), batch + 1, batches)
    validation = validate(program, runs, task)
    averaged = [None] * len(runs) if program.averages is None else validate_averages(program, runs, task)
    all_losses = torch.stack(losses).cpu().double()  # (batches, K)
    weights = torch.tensor(lengths, dtype=torch.float64)  # the last batch may be shorter
    mean_losses = (weights @ all_losses / images_in_all).tolist()
    measured = joined(sums.values(mean_losses, images_in_all), validation, task.columns)
    return [
        Measured(all_losses[:, position], metrics, rates[position], averaged[position])
        for position, metrics in enumerate(measured)
    ]
