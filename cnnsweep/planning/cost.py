"""Cost of a sweep in time, memory and disk, from measured times of its steps. Pure arithmetic."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cnnsweep.optimizers.base import OPTIMIZERS
from cnnsweep.planning.scheduling import Job, Slot
from cnnsweep.planning.timeline import Schedule
from cnnsweep.types import PartCounts, Run, RunGroup

# A held-out image needs only the forward pass; forward and backward cost about three times as much.
_FORWARD_SHARE = 1 / 3
_HISTOGRAM_BYTES = 1_200  # 64 bins and edges of 8 bytes, and the sums
_BATCH_BYTES = 90  # an event and a line of batch_loss.csv
_TENSORS_PER_WEIGHT_BYTES = 1 / 40_000  # number of histograms of a typical model; small ones have a dozen


@dataclass(frozen=True, slots=True)
class GroupCost:
    """Cost of training a group.

    Attributes:
        seconds: None if no step was measured.
        memory_bytes: peak memory, estimated from two images.
    """

    group: RunGroup
    why: str
    seconds: float | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Forecast of the remaining training.

    Attributes:
        done: number of runs that the folder holds already.
        to_come: number of runs that a search will choose later; they count like the mean of the runs in `groups`.
        stops_early: a pruner will end some runs early; that is not included.
        groups: the known and unfinished runs, in the order of training.
        measured_disk_bytes: size of the files of the runs in `groups`; None if no model was built.
        epochs_done: by run id.
        lockstep: see `choose_groups`.
        slots: the slots of training.
        schedule: the schedule on several slots, if the time of any group is known.
        given_s: seconds for an epoch of a run, as given by the user; None if measured.
        data: description of the data set; empty if no data were loaded.
        notes: special properties of the runs, one line each.
        counts: images by class; None if no data were loaded.
        baselines: see `measure_baselines`.
    """

    name: str
    device: str
    done: int
    to_come: int
    stops_early: bool
    groups: tuple[GroupCost, ...]
    measured_disk_bytes: int | None
    epochs_done: Mapping[str, int]
    lockstep: bool
    slots: tuple[Slot, ...]
    schedule: Schedule | None = None
    given_s: float | None = None
    data: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    counts: PartCounts | None = None
    baselines: Mapping[str, float] = field(default_factory=dict)

    @property
    def _scale(self) -> float:
        """Ratio of all runs to the known ones."""
        known = sum(len(cost.group.runs) for cost in self.groups)
        return 1 + self.to_come / known if known else 1.0

    @property
    def disk_bytes(self) -> int | None:
        return None if self.measured_disk_bytes is None else round(self.measured_disk_bytes * self._scale)

    @property
    def seconds(self) -> float | None:
        """Seconds of all groups, or None if some could not be measured."""
        known = [cost.seconds for cost in self.groups if cost.seconds is not None]
        return sum(known) * self._scale if len(known) == len(self.groups) else None

    @property
    def memory_bytes(self) -> int | None:
        """Peak memory, if the largest groups train at the same time."""
        known = [cost.memory_bytes for cost in self.groups if cost.memory_bytes is not None]
        return sum(sorted(known)[-len(self.slots) :]) if known or not self.groups else None

    @property
    def jobs(self) -> list[Job]:
        """The groups, followed by copies for the runs to come."""
        return loads_with_those_to_come(self.groups, self.to_come)


def loads_with_those_to_come(groups: Sequence[GroupCost], runs_to_come: int) -> list[Job]:
    """Return the groups as jobs, repeated from the first until they cover all runs to come."""
    jobs = [Job(cost.group, cost.seconds) for cost in groups]
    again = itertools.cycle(list(jobs))
    while runs_to_come > 0 and jobs:
        jobs.append(next(again))
        runs_to_come -= len(jobs[-1].group.runs)
    return jobs


def group_seconds(
    group: RunGroup,
    step_s: float | None,
    steps: int,
    share_held_out: float,
    epochs_done: Mapping[str, int],
) -> float | None:
    """Return the estimated seconds of a group, up to its stop epochs.

    Args:
        step_s: seconds of a step of one run, in this group.
        steps: number of steps of an epoch.
        share_held_out: ratio of validation images to training images.
        epochs_done: by run id.
    """
    if step_s is None:
        return None
    per_epoch = step_s * steps * (1 + _FORWARD_SHARE * share_held_out)
    return per_epoch * sum(_epochs_left(runs, epochs_done, group.stop_epochs) for runs in group.trajectories)


def disk_bytes(runs: Sequence[Run], parameters: Mapping[str, int], images: int, *, histograms: bool) -> int:
    """Return the approximate size of the files of these runs.

    Args:
        parameters: numbers of parameters by run id.
    """
    total = 0
    for run in runs:
        h = run.hyperparameters
        weights = 4 * parameters[run.id]
        checkpoints = weights * (2 + OPTIMIZERS.get(h.optimizer).state_copies)  # last.safetensors and best.safetensors
        drawn = 2 * _HISTOGRAM_BYTES * max(10, int(weights * _TENSORS_PER_WEIGHT_BYTES)) if histograms else 0
        total += checkpoints + h.epochs * (drawn + _BATCH_BYTES * -(-images // h.batch_size))
    return total


def _epochs_left(runs: Sequence[Run], epochs_done: Mapping[str, int], stop_epochs: Mapping[str, int]) -> int:
    """Return the epochs of a trajectory: those of its longest run."""
    last = max(min(run.hyperparameters.epochs, stop_epochs.get(run.id, run.hyperparameters.epochs)) for run in runs)
    return max(last - min(epochs_done.get(run.id, 0) for run in runs), 0)
