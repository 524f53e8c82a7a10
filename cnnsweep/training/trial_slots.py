"""Trial slots: the progress of each trajectory of a group, and the ends of its runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.training.learner_group import LearnerGroup
from cnnsweep.training.weight_means import WeightMean
from cnnsweep.types import SWA, Run, RunGroup, RunOutcome, RunStatus


@dataclass(slots=True)
class SlotState:
    """A run of a slot, with its progress."""

    run: Run
    epochs_done: int = 0
    seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        return self.epochs_done >= self.run.hyperparameters.epochs


@dataclass(slots=True)
class TrialSlot:
    """One trajectory in training, at one position of the learner.

    Attributes:
        members: its active runs.
        goal: the stop epoch, if there is one.
        epochs_done: epochs trained by its weights. After a crash while a group's epoch was recorded, some slots are one
            epoch ahead. They train along, so that the learner, and with it every rounding, equals that of an
            uninterrupted sweep; then `checkpoint` is restored. A learner that is ahead as a whole only waits.
        mean: of the weights after the last epochs, with `swa`; `mean_metrics` are those of it on held-out images, after
            the last epoch.
        along: the last epoch for which it trains along without members, with meaningless weights.
        history: the metrics of each epoch done, with the plain weights.
    """

    run: Run
    members: list[SlotState]
    goal: int | None = None
    epochs_done: int = 0
    checkpoint: LastCheckpoint | None = None
    along: int = 0
    history: list[Mapping[str, float | None]] = field(default_factory=list)
    mean: WeightMean | None = None
    mean_metrics: Mapping[str, float | None] | None = None

    @property
    def progress(self) -> int:
        """Common position of all slots: epochs before the stop epoch, or since the first epoch."""
        return self.epochs_done - (self.goal or 0)

    def epoch_at(self, progress: int) -> int:
        """Return the slot's own epoch at this progress."""
        return progress + (self.goal or 0)


def resume(
    programs: LearnerGroup, position: int, trial_slot: TrialSlot, checkpoints: Mapping[str, LastCheckpoint]
) -> None:
    """Restore the checkpoint of the slot's slowest run."""
    if not trial_slot.members:
        return
    for member in trial_slot.members:
        if last := checkpoints.get(member.run.id):
            member.epochs_done, member.seconds = last.record.epoch, last.record.run_duration
    last_of_all = min(trial_slot.members, key=lambda member: member.epochs_done)
    trial_slot.checkpoint = checkpoints.get(last_of_all.run.id)
    if trial_slot.checkpoint is not None:
        trial_slot.epochs_done = trial_slot.checkpoint.record.epoch
        trial_slot.history = list(trial_slot.checkpoint.history)
        programs.restore(position, trial_slot.checkpoint.weights, trial_slot.checkpoint.optimizer)
    if trial_slot.run.hyperparameters.swa is not None:
        state = None if trial_slot.checkpoint is None else trial_slot.checkpoint.optimizer.get(SWA)
        trial_slot.mean = WeightMean(state)


def start_along(trial_slots: Sequence[TrialSlot]) -> None:
    """Start slots that only train along with the slowest of the others: their weights affect no other metric."""
    slowest = min(trial_slot.progress for trial_slot in trial_slots if trial_slot.members)
    for trial_slot in trial_slots:
        if not trial_slot.members:
            trial_slot.epochs_done = trial_slot.epoch_at(slowest)


def let_leave(
    programs: LearnerGroup, trial_slots: list[TrialSlot], outcomes: Mapping[str, RunOutcome]
) -> list[RunOutcome]:
    """Remove ended runs from their slots, and slots without runs from learner and list.

    Args:
        outcomes: of runs that end before their last epoch, by id.

    Returns:
        The outcomes of the removed runs.
    """
    slowest = min((trial_slot.progress for trial_slot in trial_slots if trial_slot.members), default=0)
    ended = []
    staying = []
    for position, trial_slot in enumerate(trial_slots):
        for member in list(trial_slot.members):
            outcome = outcomes.get(member.run.id)
            is_interrupted = outcome is not None and outcome.status is RunStatus.INTERRUPTED
            if trial_slot.progress > slowest and not is_interrupted:
                continue  # slots ahead keep their position until the others have caught up
            if member.is_complete and (outcome is None or outcome.status is not RunStatus.DIVERGED):
                outcome = RunOutcome(member.run.id, RunStatus.FINISHED)
            elif outcome is None and trial_slot.goal is not None and member.epochs_done >= trial_slot.goal:
                outcome = RunOutcome(member.run.id, RunStatus.WAITING)
            if outcome is not None:
                ended.append(outcome)
                trial_slot.members.remove(member)
        if trial_slot.members or trial_slot.along > trial_slot.epochs_done:
            staying.append(position)
    if not any(trial_slot.members for trial_slot in trial_slots):
        staying.clear()  # no run is left to train along with
    if 0 < len(staying) < len(trial_slots):
        programs.keep(staying)
    trial_slots[:] = [trial_slots[position] for position in staying]
    return ended


def at_progress(trial_slots: Sequence[TrialSlot], progress: int) -> list[SlotState]:
    """Return the runs at exactly this progress."""
    return [
        member
        for trial_slot in trial_slots
        for member in trial_slot.members
        if member.epochs_done == trial_slot.epoch_at(progress)
    ]


def common_epoch(trial_slots: Sequence[TrialSlot]) -> int | None:
    """Return the epoch of all runs, or None if some are ahead of others."""
    epochs = {member.epochs_done for trial_slot in trial_slots for member in trial_slot.members}
    return epochs.pop() if len(epochs) == 1 else None


def only(group: RunGroup, run_ids: Collection[str]) -> RunGroup:
    """Return a group with only these runs, which keep their learners."""
    programs = [
        [tuple(run for run in runs if run.id in run_ids) for runs in trajectories] for trajectories in group.programs
    ]
    left = [tuple(runs for runs in trajectories if runs) for trajectories in programs]
    return dataclasses.replace(group, programs=tuple(program for program in left if program))


def interruption_of_all(trial_slots: Sequence[TrialSlot]) -> dict[str, RunOutcome]:
    """Return the outcome of every run, by id, when the user stops the sweep."""
    return {
        member.run.id: RunOutcome(member.run.id, RunStatus.INTERRUPTED, f"interrupted after epoch {member.epochs_done}")
        for trial_slot in trial_slots
        for member in trial_slot.members
    }
