"""Cost of a sweep, from measured steps: pure arithmetic."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cnnsweep.optimizers.base import OPTIMIZERS
from cnnsweep.planning.scheduling import Load, Place
from cnnsweep.planning.timeline import Schedule
from cnnsweep.types import Run, RunGroup

# A held-out image goes forward only; forward and backward are about three times as much.
_FORWARD_SHARE = 1 / 3
_HISTOGRAM_BYTES = 1_200  # 64 bins and edges of 8 bytes, and the sums
_BATCH_BYTES = 90  # an event and a line of batch_loss.csv
_TENSORS_PER_WEIGHT_BYTES = 1 / 40_000  # how many histograms a model of some size has; small ones have a dozen


@dataclass(frozen=True, slots=True)
class GroupCost:
    """Cost of training a group.

    Attributes:
        seconds: None where no step was measured.
        memory_bytes: at its peak, foreseen from two images.
    """

    group: RunGroup
    why: str
    seconds: float | None
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Forecast of `cnnsweep run`.

    Attributes:
        done: how many runs the folder holds already.
        to_come: how many runs a search will choose later; they count like the mean of those in `groups`.
        stops_early: a rule will end some runs early; that is not foreseen.
        groups: the runs that are known and not done, in the order of their training.
        measured_disk_bytes: of the files of the runs in `groups`; None where no model was looked at.
        epochs_done: by run id.
        in_step: see `choose_groups`.
        places: where groups train at once.
        schedule: on several places, if the time of any group is known.
        given_s: what a person says that a run and epoch takes; None where it was measured.
        data: in words what the sweep would train on; nothing where no data were looked at.
        notes: what is special about the runs, in a line each.
    """

    name: str
    device: str
    done: int
    to_come: int
    stops_early: bool
    groups: tuple[GroupCost, ...]
    measured_disk_bytes: int | None
    epochs_done: Mapping[str, int]
    in_step: bool
    places: tuple[Place, ...]
    schedule: Schedule | None = None
    given_s: float | None = None
    data: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def _scale(self) -> float:
        """By how much the whole is more than the runs that are known."""
        known = sum(len(cost.group.runs) for cost in self.groups)
        return 1 + self.to_come / known if known else 1.0

    @property
    def disk_bytes(self) -> int | None:
        return None if self.measured_disk_bytes is None else round(self.measured_disk_bytes * self._scale)

    @property
    def seconds(self) -> float | None:
        """All groups', or None if some could not be measured."""
        known = [cost.seconds for cost in self.groups if cost.seconds is not None]
        return sum(known) * self._scale if len(known) == len(self.groups) else None

    @property
    def memory_bytes(self) -> int | None:
        """At its peak, if the largest groups train at the same time."""
        known = [cost.memory_bytes for cost in self.groups if cost.memory_bytes is not None]
        return sum(sorted(known)[-len(self.places) :]) if known or not self.groups else None

    @property
    def loads(self) -> list[Load]:
        """The groups, and as many more like them as the runs to come will make."""
        return loads_with_those_to_come(self.groups, self.to_come)


def loads_with_those_to_come(groups: Sequence[GroupCost], runs_to_come: int) -> list[Load]:
    """Return the groups as loads, then again from the first on until they stand for all runs that are to come."""
    loads = [Load(cost.group, cost.seconds) for cost in groups]
    again = itertools.cycle(list(loads))
    while runs_to_come > 0 and loads:
        loads.append(next(again))
        runs_to_come -= len(loads[-1].group.runs)
    return loads


def group_seconds(
    group: RunGroup,
    step_s: float | None,
    steps: int,
    share_held_out: float,
    epochs_done: Mapping[str, int],
) -> float | None:
    """Return the foreseen seconds of a group, up to its goals.

    Args:
        step_s: of one run, in this group.
        steps: of an epoch.
        share_held_out: as many images are measured after it as are trained on, times this.
        epochs_done: by run id.
    """
    if step_s is None:
        return None
    per_epoch = step_s * steps * (1 + _FORWARD_SHARE * share_held_out)
    return per_epoch * sum(_epochs_left(runs, epochs_done, group.goals) for runs in group.trajectories)


def disk_bytes(runs: Sequence[Run], parameters: Mapping[str, int], images: int, *, histograms: bool) -> int:
    """Return about how much disk the files of these runs will take.

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


def _epochs_left(runs: Sequence[Run], epochs_done: Mapping[str, int], goals: Mapping[str, int]) -> int:
    """Return the epochs of a trajectory: those of its longest run."""
    last = max(min(run.hyperparameters.epochs, goals.get(run.id, run.hyperparameters.epochs)) for run in runs)
    return max(last - min(epochs_done.get(run.id, 0) for run in runs), 0)
