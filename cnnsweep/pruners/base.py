"""Pruners: rules that end poor trials early, from their curves alone.

A pruner is a class with a name, in a file of this package; its fields are the keys of `early_stop`:

    class Ceiling(EpochPruner, name="ceiling"):
        limit: Annotated[float, Number()] = 1.0

        def decide_one(self, curve, curves, objective):
            ...

Other packages add pruners with an entry point in the group `cnnsweep.pruners`, and a sweep file may name a class of its
own: `early_stop: {method: mine.py:Ceiling, limit: 0.9}`.

A pruner is a pure function of what it is given. Its decisions are journaled, so a resumed sweep repeats none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from cnnsweep.field_types import Whole
from cnnsweep.metrics.objective import Objective
from cnnsweep.registry import Component, Registry
from cnnsweep.types import PruneDecision

Epochs = Annotated[int, Whole(1, 1_000_000)]
FIRST = Field(default=1, description="epochs that every run trains")


@dataclass(frozen=True, slots=True)
class Curve:
    """The metrics of one trial by epoch: the means over its seeds and folds.

    Attributes:
        values: at position e-1 the metric at epoch e; None if it is not finite.
        selected: at position e-1 the metric that counts after e epochs, by the objective's scope.
        epochs: the planned number of epochs.
        losses: as `selected`, for the loss that decides between equal ones (`Objective.tie_breaker`); may be empty.
        position: in the sweep; of trials that are equal in everything else the first survives.
    """

    trial_id: str
    values: tuple[float | None, ...]
    selected: tuple[float | None, ...]
    epochs: int
    losses: tuple[float | None, ...] = ()
    position: int = 0

    @property
    def epoch(self) -> int:
        """The number of epochs so far."""
        return len(self.values)

    def loss_at(self, epoch: int) -> float | None:
        """Return the loss that counts after an epoch, None where it is not known."""
        return self.losses[epoch - 1] if epoch <= len(self.losses) else None

    def finite_values(self, start: int, stop: int) -> list[float]:
        """Return the finite metrics after epoch `start`, up to epoch `stop`."""
        return [value for value in self.values[start:stop] if value is not None and math.isfinite(value)]

    def selected_at(self, epoch: int) -> float | None:
        """Return the metric that counts after an epoch, None if it is not finite."""
        value = self.selected[epoch - 1]
        return value if value is not None and math.isfinite(value) else None


class Pruner(Component):
    """Base of all pruners.

    Attributes:
        has_rungs: trials are compared with each other at a few epochs, the rungs, and wait there for each other;
            otherwise each is looked at after every epoch.
    """

    has_rungs: ClassVar[bool] = False

    def rungs(self, longest: int, trial: str) -> list[int]:  # noqa: ARG002 - without rungs there are none
        """Return the epochs at which a trial is compared with others; none without rungs.

        Args:
            longest: the most epochs that any trial of the sweep trains.
            trial: its id, 16 hexadecimal digits of a hash.
        """
        return []

    def decide(
        self, due: Sequence[Curve], curves: Mapping[str, Curve], objective: Objective, longest: int
    ) -> list[PruneDecision]:
        """Return decisions about trials that have just come to an epoch, the same for all of them.

        At a rung there is one about each trial that is due, which survives or stops. After other epochs there is one
        about each trial that stops, and none about the others.

        Args:
            due: one trial or more, none of them at its own last epoch.
            curves: all trials so far, by id; those due are among them.
            longest: the most epochs that any trial of the sweep trains.
        """
        raise NotImplementedError


class EpochPruner(Pruner):
    """Base of pruners that look at one trial at a time, after every epoch from the `min_epochs`th on."""

    min_epochs: Epochs = FIRST

    def decide(
        self,
        due: Sequence[Curve],
        curves: Mapping[str, Curve],
        objective: Objective,
        longest: int,  # noqa: ARG002 - without rungs it is of no use
    ) -> list[PruneDecision]:
        """Return the decisions that stop a trial; see `Pruner.decide`."""
        grown = [curve for curve in due if curve.epoch >= self.min_epochs]
        found = [self.decide_one(curve, curves, objective) for curve in grown]
        return [decision for decision in found if decision is not None and decision.stops]

    def decide_one(self, curve: Curve, curves: Mapping[str, Curve], objective: Objective) -> PruneDecision | None:
        """Return the decision about one trial after its last epoch; None while there is nothing to go by."""
        raise NotImplementedError


def best_of(objective: Objective, values: Sequence[float]) -> float | None:
    """Return the best of some metrics, None if there are none."""
    return values[objective.rank(values)[0]] if values else None


PRUNERS = Registry("pruner", "pruners", Pruner)


def prune(
    pruner: Pruner, objective: Objective, due: Sequence[str], curves: Mapping[str, Curve], longest: int
) -> list[PruneDecision]:
    """Return a pruner's decisions about the trials that are due, but for those at their own last epoch.

    Args:
        due: ids of trials that have just come to an epoch, the same for all of them.
        curves: all trials so far, by id.
        longest: the most epochs that any trial of the sweep trains.
    """
    going_on = [curve for curve in map(curves.__getitem__, due) if curve.epoch < curve.epochs]
    return pruner.decide(going_on, curves, objective, longest) if going_on else []
