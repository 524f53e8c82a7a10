"""Cosine annealing with warm restarts (Loshchilov and Hutter 2017, SGDR), as torch's CosineAnnealingWarmRestarts."""

from typing import Annotated, ClassVar

from pydantic import Field

from cnnsweep.field_types import Number, Whole
from cnnsweep.schedules.base import WarmUp, half_cosine


class Restarts(WarmUp, name="restarts"):
    """The learning rate falls along half a cosine, again and again."""

    depends_on_length: ClassVar[bool] = False
    every: Annotated[int, Whole(1, 1_000_000)] = Field(default=10, description="epochs up to the first restart")
    growth: Annotated[int, Whole(1, 1000)] = Field(
        default=1, description="each further cycle has that many times the epochs of the one before"
    )
    final: Annotated[float, Number(least=0, most=1)] = Field(
        default=0.0, description="the rate before a restart, as a share of lr"
    )

    def after_warmup(self, step: int, total: int, steps_per_epoch: int, base_lr: float) -> float:
        """Return a rate from the base learning rate down to `final` of it, in each cycle."""
        del total
        length = self.every * steps_per_epoch
        if self.growth == 1:
            step %= length
        while step >= length:
            step -= length
            length *= self.growth
        return base_lr * half_cosine(1.0, self.final, step / length)
