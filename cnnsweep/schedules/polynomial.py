"""Polynomial decay, as torch's PolynomialLR has it."""

from typing import Annotated

from pydantic import Field

from cnnsweep.field_types import Number
from cnnsweep.schedules.base import WarmUp


class Polynomial(WarmUp, name="polynomial"):
    """The learning rate falls as a power of the share of training that is left."""

    power: Annotated[float, Number(above=0)] = Field(default=1.0, description="of the share that is left; 1 is a line")
    final: Annotated[float, Number(least=0, most=1)] = Field(default=0.0, description="the last rate, as a share of lr")

    def after_warmup(self, step: int, total: int, steps_per_epoch: int, base_lr: float) -> float:
        """Return a rate from the base learning rate down to `final` of it."""
        del steps_per_epoch
        left: float = (1 - step / total) ** self.power
        return base_lr * (self.final + (1 - self.final) * left)
