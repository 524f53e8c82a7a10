"""A fixed threshold that every trial must reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from cnnsweep.field_types import Number
from cnnsweep.metrics.objective import Objective
from cnnsweep.pruners.base import Curve, EpochPruner
from cnnsweep.types import PruneDecision


class Threshold(EpochPruner, name="threshold"):
    """Stops a trial whose metric is worse than a fixed value."""

    value: Annotated[float, Number()] = Field(description="value that the metric must reach", examples=[0.5])

    def decide_one(self, curve: Curve, curves: Mapping[str, Curve], objective: Objective) -> PruneDecision:  # noqa: ARG002
        """Compare the metric that counts with the value; see `EpochPruner.decide_one`."""
        value = curve.selected_at(curve.epoch)
        text = f"{self.value:g} from epoch {self.min_epochs} on"
        stops = objective.is_better(self.value, value)
        return PruneDecision(curve.trial_id, curve.epoch, stops, value, self.value, 1, text)
