"""Median stopping rule (Golovin et al. 2017, Google Vizier)."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, median

from pydantic import Field

from cnnsweep.metrics.objective import Objective
from cnnsweep.pruners.base import Curve, EpochPruner, Epochs, best_of
from cnnsweep.types import PruneDecision


class Median(EpochPruner, name="median"):
    """Stops a trial whose best metric so far is worse than the median of the others' means so far."""

    min_settings: Epochs = Field(default=4, description="number of other trials that must have come as far")

    def decide_one(self, curve: Curve, curves: Mapping[str, Curve], objective: Objective) -> PruneDecision | None:
        """Compare with the others at the same epoch; see `EpochPruner.decide_one`."""
        epoch = curve.epoch
        others = [other for other in curves.values() if other.trial_id != curve.trial_id]
        means = [fmean(known) for other in others if other.epoch >= epoch and (known := other.finite_values(0, epoch))]
        if len(means) < self.min_settings:
            return None
        best, threshold = best_of(objective, curve.finite_values(0, epoch)), median(means)
        trials = "trial" if len(means) == 1 else "trials"
        text = f"median of {len(means)} other {trials} at epoch {epoch}"
        stops = objective.is_better(threshold, best)
        return PruneDecision(curve.trial_id, epoch, stops, best, threshold, len(means) + 1, text)
