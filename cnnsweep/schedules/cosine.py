"""Cosine annealing without restarts (Loshchilov and Hutter 2017, SGDR)."""

from typing import Annotated

from pydantic import Field

from cnnsweep.field_types import Number
from cnnsweep.schedules.base import WarmUp, half_cosine


class Cosine(WarmUp, name="cosine"):
    """The learning rate falls along half a cosine."""

    final: Annotated[float, Number(least=0, most=1)] = Field(default=0.0, description="the last rate, as a share of lr")

    def after_warmup(self, step: int, total: int, steps_per_epoch: int, base_lr: float) -> float:
        """Return a rate from the base learning rate down to `final` of it."""
        del steps_per_epoch
        return base_lr * half_cosine(1.0, self.final, step / total)
