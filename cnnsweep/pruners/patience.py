"""Early stopping by patience, as for a single run, but on the mean over a trial's seeds and folds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from cnnsweep.field_types import Number
from cnnsweep.metrics.objective import Objective
from cnnsweep.pruners.base import Curve, EpochPruner, Epochs, best_of
from cnnsweep.types import PruneDecision


class Patience(EpochPruner, name="patience"):
    """Stops a trial whose metric has not improved for some epochs."""

    epochs: Epochs = Field(description="epochs that may pass without a better metric", examples=[5])
    min_delta: Annotated[float, Number(least=0)] = Field(
        default=0.0, description="smallest gain of the metric that counts"
    )

    def decide_one(self, curve: Curve, curves: Mapping[str, Curve], objective: Objective) -> PruneDecision | None:  # noqa: ARG002
        """Compare the last epochs with the best before them; see `EpochPruner.decide_one`."""
        epoch = curve.epoch
        if epoch <= self.epochs:
            return None
        before = best_of(objective, curve.finite_values(0, epoch - self.epochs))
        recent = best_of(objective, curve.finite_values(epoch - self.epochs, epoch))
        gain = self.min_delta if objective.mode == "max" else -self.min_delta
        threshold = None if before is None else before + gain
        amount = f" of more than {self.min_delta:g}" if self.min_delta else ""
        text = f"no gain{amount} in {self.epochs} {'epoch' if self.epochs == 1 else 'epochs'}"
        stops = not objective.is_better(recent, threshold)
        return PruneDecision(curve.trial_id, epoch, stops, recent, threshold, 1, text)
