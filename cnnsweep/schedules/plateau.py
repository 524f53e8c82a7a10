"""Reduction on a plateau, as torch's ReduceLROnPlateau has it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from cnnsweep.field_types import Number, OneOf, Whole
from cnnsweep.schedules.base import WarmUp

_VALIDATION = "val_"


class Plateau(WarmUp, name="plateau"):
    """The learning rate drops when a metric no longer improves."""

    depends_on_length: ClassVar[bool] = False
    metric: Annotated[str, OneOf(("val_loss", "val_accuracy", "loss", "accuracy"))] = Field(
        default="val_loss", description="the metric to improve; where nothing is held out, the same on training images"
    )
    factor: Annotated[float, Number(above=0, below=1)] = Field(
        default=0.1, description="multiplies the rate, each drop"
    )
    patience: Annotated[int, Whole(0, 1_000_000)] = Field(
        default=3, description="epochs in a row without improvement that change nothing"
    )
    threshold: Annotated[float, Number(least=0, below=1)] = Field(
        default=1e-4, description="the smallest improvement, as a share of the best value"
    )
    cooldown: Annotated[int, Whole(0, 1_000_000)] = Field(
        default=0, description="epochs after a drop in which nothing counts"
    )
    final: Annotated[float, Number(least=0, most=1)] = Field(
        default=0.0, description="the smallest rate, as a share of lr"
    )

    def after_warmup(self, step: int, total: int, steps_per_epoch: int, base_lr: float) -> float:
        """Return the base learning rate; `lr_factor` has the drops."""
        del step, total, steps_per_epoch
        return base_lr

    def lr_factor(self, history: Sequence[Mapping[str, float | None]]) -> float:
        """Return the product of all drops so far."""
        best: float | None = None
        scale, waited, cooling = 1.0, 0, 0
        for metrics in history:
            value = self._value(metrics)
            is_better = best is None or self._is_better(value, best)
            best, waited = (value, 0) if is_better else (best, waited + 1)
            if cooling:
                cooling, waited = cooling - 1, 0
            if waited > self.patience:
                scale, waited, cooling = max(scale * self.factor, self.final), 0, self.cooldown
        return scale

    def _value(self, metrics: Mapping[str, float | None]) -> float:
        value = metrics.get(self.metric)
        if value is None:  # nothing is held out
            value = metrics[self.metric.removeprefix(_VALIDATION)]
        assert value is not None, "loss and accuracy are always measured on training images"
        return value

    def _is_better(self, value: float, best: float) -> bool:
        if self.metric.endswith("loss"):
            return value < best * (1 - self.threshold)
        return value > best * (1 + self.threshold)
