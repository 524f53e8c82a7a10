"""The trajectories of a group on their way: who is how far, who waits, who leaves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cnnsweep.recording.last_checkpoint import LastCheckpoint
from cnnsweep.records import Run, RunGroup, RunOutcome, RunStatus
from cnnsweep.training.programs import Programs


@dataclass(slots=True)
class Member:
    """A run of a lane, and how far it is."""

    run: Run
    epochs_done: int = 0
    seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        return self.epochs_done >= self.run.hyperparameters.epochs


@dataclass(slots=True)
class Lane:
    """One trajectory on its way, at one position of the program.

    Attributes:
        members: the runs that it is recorded for and that have not ended.
        epochs_done: where its weights are. Where a crash came while a group's epoch was written down, some lanes are
            one epoch ahead of others. They wait: they train along, so that the program and with it every rounding is
            what it would have been, and are then put back to `checkpoint`. A whole program that is ahead just waits.
    """

    run: Run
    members: list[Member]
    epochs_done: int = 0
    checkpoint: LastCheckpoint | None = None


def resume(programs: Programs, position: int, lane: Lane, checkpoints: Mapping[str, LastCheckpoint]) -> None:
    """Put a lane to where the last of its members is."""
    for member in lane.members:
        if last := checkpoints.get(member.run.id):
            member.epochs_done, member.seconds = last.record.epoch, last.record.run_duration
    last_of_all = min(lane.members, key=lambda member: member.epochs_done)
    lane.checkpoint = checkpoints.get(last_of_all.run.id)
    if lane.checkpoint is not None:
        lane.epochs_done = lane.checkpoint.record.epoch
        programs.restore(position, lane.checkpoint.weights, lane.checkpoint.optimizer)


def let_leave(programs: Programs, lanes: list[Lane], outcomes: Mapping[str, RunOutcome]) -> list[RunOutcome]:
    """Take runs that have ended out of their lanes, and lanes without runs out of program and list.

    Args:
        outcomes: of runs that end before their last epoch, by id.

    Returns:
        How the runs that left have ended.
    """
    slowest = min(lane.epochs_done for lane in lanes)
    ended = []
    staying = []
    for position, lane in enumerate(lanes):
        for member in list(lane.members):
            outcome = outcomes.get(member.run.id)
            is_interrupted = outcome is not None and outcome.status is RunStatus.INTERRUPTED
            if lane.epochs_done > slowest and not is_interrupted:
                continue  # those ahead keep their place until the others have caught up
            if member.is_complete and (outcome is None or outcome.status is not RunStatus.DIVERGED):
                outcome = RunOutcome(member.run.id, RunStatus.FINISHED)
            if outcome is not None:
                ended.append(outcome)
                lane.members.remove(member)
        if lane.members:
            staying.append(position)
    if 0 < len(staying) < len(lanes):
        programs.keep(staying)
    lanes[:] = [lanes[position] for position in staying]
    return ended


def at_epoch(lanes: Sequence[Lane], epoch: int) -> list[Run]:
    """Return the runs that have trained for so many epochs, no more and no less."""
    return [member.run for lane in lanes for member in lane.members if member.epochs_done == epoch]


def common_epoch(lanes: Sequence[Lane]) -> int | None:
    """Return how far all runs are, or None if some are ahead of others."""
    epochs = {member.epochs_done for lane in lanes for member in lane.members}
    return epochs.pop() if len(epochs) == 1 else None


def only(group: RunGroup, run_ids: Collection[str]) -> RunGroup:
    """Return a group without its other runs; those that stay keep their programs."""
    programs = [
        [tuple(run for run in runs if run.id in run_ids) for runs in trajectories] for trajectories in group.programs
    ]
    left = [tuple(runs for runs in trajectories if runs) for trajectories in programs]
    return RunGroup(tuple(program for program in left if program), group.is_threaded)


def interruption_of_all(lanes: Sequence[Lane]) -> dict[str, RunOutcome]:
    """Return the outcome of every run, by id, when a person stops the sweep."""
    return {
        member.run.id: RunOutcome(member.run.id, RunStatus.INTERRUPTED, f"interrupted after epoch {member.epochs_done}")
        for lane in lanes
        for member in lane.members
    }
