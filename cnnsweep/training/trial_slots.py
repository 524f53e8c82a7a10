"""Trial slots: the progress of each trajectory of a group, and the ends of its runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.training.learner_group import Programs
from cnnsweep.types import Run, RunGroup, RunOutcome, RunStatus


@dataclass(slots=True)
class Member:
    """A run of a slot, and its progress."""

    run: Run
    epochs_done: int = 0
    seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        return self.epochs_done >= self.run.hyperparameters.epochs


@dataclass(slots=True)
class Lane:
    """One trajectory in training, at one position of the learner.

    Attributes:
        members: its active runs.
        goal: the stop epoch, if there is one.
        epochs_done: by its weights. After a crash in the middle of recording a group's epoch, some slots are one epoch
            ahead. They train along, so that the learner, and with it every rounding, is that of an uninterrupted
            sweep, and are then put back to `checkpoint`. If a whole learner is ahead, it just waits.
        along: the last epoch for which it trains along without members; its weights mean nothing then.
    """

    run: Run
    members: list[Member]
    goal: int | None = None
    epochs_done: int = 0
    checkpoint: LastCheckpoint | None = None
    along: int = 0

    @property
    def progress(self) -> int:
        """Position on the common way of all slots: in epochs before the stop epoch, or from the first epoch."""
        return self.epochs_done - (self.goal or 0)

    def epoch_at(self, progress: int) -> int:
        """Return the slot's own epoch at this progress."""
        return progress + (self.goal or 0)


def resume(programs: Programs, position: int, lane: Lane, checkpoints: Mapping[str, LastCheckpoint]) -> None:
    """Restore the checkpoint of the slot's slowest run."""
    if not lane.members:
        return
    for member in lane.members:
        if last := checkpoints.get(member.run.id):
            member.epochs_done, member.seconds = last.record.epoch, last.record.run_duration
    last_of_all = min(lane.members, key=lambda member: member.epochs_done)
    lane.checkpoint = checkpoints.get(last_of_all.run.id)
    if lane.checkpoint is not None:
        lane.epochs_done = lane.checkpoint.record.epoch
        programs.restore(position, lane.checkpoint.weights, lane.checkpoint.optimizer)


def start_along(lanes: Sequence[Lane]) -> None:
    """Start slots that only train along with the slowest of the others: their weights change no metric of another."""
    slowest = min(lane.progress for lane in lanes if lane.members)
    for lane in lanes:
        if not lane.members:
            lane.epochs_done = lane.epoch_at(slowest)


def let_leave(programs: Programs, lanes: list[Lane], outcomes: Mapping[str, RunOutcome]) -> list[RunOutcome]:
    """Remove ended runs from their slots, and slots without runs from learner and list.

    Args:
        outcomes: of runs that end before their last epoch, by id.

    Returns:
        The outcomes of the removed runs.
    """
    slowest = min((lane.progress for lane in lanes if lane.members), default=0)
    ended = []
    staying = []
    for position, lane in enumerate(lanes):
        for member in list(lane.members):
            outcome = outcomes.get(member.run.id)
            is_interrupted = outcome is not None and outcome.status is RunStatus.INTERRUPTED
            if lane.progress > slowest and not is_interrupted:
                continue  # slots ahead keep their position until the others have caught up
            if member.is_complete and (outcome is None or outcome.status is not RunStatus.DIVERGED):
                outcome = RunOutcome(member.run.id, RunStatus.FINISHED)
            elif outcome is None and lane.goal is not None and member.epochs_done >= lane.goal:
                outcome = RunOutcome(member.run.id, RunStatus.WAITING)
            if outcome is not None:
                ended.append(outcome)
                lane.members.remove(member)
        if lane.members or lane.along > lane.epochs_done:
            staying.append(position)
    if not any(lane.members for lane in lanes):
        staying.clear()  # no run is left to train along with
    if 0 < len(staying) < len(lanes):
        programs.keep(staying)
    lanes[:] = [lanes[position] for position in staying]
    return ended


def at_progress(lanes: Sequence[Lane], progress: int) -> list[Member]:
    """Return the runs at exactly this progress."""
    return [member for lane in lanes for member in lane.members if member.epochs_done == lane.epoch_at(progress)]


def common_epoch(lanes: Sequence[Lane]) -> int | None:
    """Return the epoch of all runs, or None if some are ahead of others."""
    epochs = {member.epochs_done for lane in lanes for member in lane.members}
    return epochs.pop() if len(epochs) == 1 else None


def only(group: RunGroup, run_ids: Collection[str]) -> RunGroup:
    """Return a group without its other runs; those that stay keep their programs."""
    programs = [
        [tuple(run for run in runs if run.id in run_ids) for runs in trajectories] for trajectories in group.programs
    ]
    left = [tuple(runs for runs in trajectories if runs) for trajectories in programs]
    return dataclasses.replace(group, programs=tuple(program for program in left if program))


def interruption_of_all(lanes: Sequence[Lane]) -> dict[str, RunOutcome]:
    """Return the outcome of every run, by id, when the user stops the sweep."""
    return {
        member.run.id: RunOutcome(member.run.id, RunStatus.INTERRUPTED, f"interrupted after epoch {member.epochs_done}")
        for lane in lanes
        for member in lane.members
    }
