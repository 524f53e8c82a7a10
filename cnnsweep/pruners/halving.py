"""Successive halving without waiting for all trials (ASHA, Li et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from cnnsweep.field_types import Number
from cnnsweep.metrics.objective import Objective
from cnnsweep.pruners.base import FIRST, Curve, Epochs, Pruner
from cnnsweep.types import PruneDecision

ROUNDING = 1e-9  # of a power of the factor, such as 1.1**k, before it is rounded down to an epoch


class Halving(Pruner, name="halving"):
    """At a rung the best 1/factor of the trials survive; the next rung is at factor times as many epochs (ASHA)."""

    has_rungs: ClassVar[bool] = True
    min_epochs: Epochs = FIRST
    factor: Annotated[float, Number(least=1.5, most=100)] = Field(default=3.0, description="one in `factor` survives")

    def rungs(self, longest: int, trial: str) -> list[int]:  # noqa: ARG002 - the same for every trial
        """Return the rungs; see `Pruner.rungs`."""
        return self.rungs_from(0, longest)

    def rungs_from(self, power: int, longest: int) -> list[int]:
        """Return the epochs min_epochs · factor^k before the last one, rounded down, for k from `power` on.

        Small factors may round to the same epoch, which is one rung then.
        """
        epochs: list[int] = []
        while (epoch := math.floor(self.min_epochs * self.factor**power * (1 + ROUNDING))) < longest:
            epochs += [epoch] if epoch not in epochs else []
            power += 1
        return epochs

    def decide(
        self, due: Sequence[Curve], curves: Mapping[str, Curve], objective: Objective, longest: int
    ) -> list[PruneDecision]:
        """Return one decision about each trial at a rung; see `Pruner.decide`."""
        return self.halve(due, curves.values(), objective) if due[0].epoch in self.rungs_from(0, longest) else []

    def halve(
        self, due: Sequence[Curve], curves: Iterable[Curve], objective: Objective, where: str = ""
    ) -> list[PruneDecision]:
        """Stop all but the best 1/factor of the trials that have come as far, now or earlier.

        Of equal metrics the lower loss counts as better, then the earlier place in the sweep: where many trials are at
        exactly chance accuracy, no more of them survive than of others. Those that are due are compared at once, so the
        order in which they trained does not matter. Those that came to their own end at this epoch count, those that
        came to it earlier have no metric here.

        Args:
            where: the part of the sweep that is compared, for the decisions' text.
        """
        epoch = due[0].epoch
        ranked = _ranked(curves, objective, epoch)
        going_on = ranked[: max(1, math.floor(len(ranked) / self.factor + ROUNDING))]
        names = {curve.trial_id for curve in going_on}
        threshold = going_on[-1].selected[epoch - 1] if going_on else None
        trials = "trial" if len(ranked) == 1 else "trials"
        decisions = []
        for curve in due:
            value = curve.selected_at(epoch)
            stops = curve.trial_id not in names
            lost_tie = stops and value is not None and value == threshold
            ties = f" (ties by {objective.tie_breaker or 'order'})" if lost_tie else ""
            text = f"top 1/{self.factor:g} of {len(ranked)} {trials}{where}{ties} at epoch {epoch}"
            decisions.append(PruneDecision(curve.trial_id, epoch, stops, value, threshold, max(1, len(ranked)), text))
        return decisions


def _ranked(curves: Iterable[Curve], objective: Objective, epoch: int) -> list[Curve]:
    """Return the trials that have a finite metric at an epoch, the best first."""
    rivals = [curve for curve in curves if curve.epoch >= epoch and curve.selected_at(epoch) is not None]
    rivals.sort(key=lambda curve: (curve.position, curve.trial_id))
    order = objective.rank([curve.selected[epoch - 1] for curve in rivals], [curve.loss_at(epoch) for curve in rivals])
    return [rivals[position] for position in order]
