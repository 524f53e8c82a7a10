"""Step decay."""

from typing import Annotated, ClassVar

from pydantic import Field

from cnnsweep.field_types import Number, Whole
from cnnsweep.schedules.base import WarmUp


class Step(WarmUp, name="step"):
    """The learning rate drops every few epochs."""

    depends_on_length: ClassVar[bool] = False
    every: Annotated[int, Whole(1, 1_000_000)] = Field(default=1, description="epochs between two drops")
    factor: Annotated[float, Number(above=0, most=1)] = Field(default=0.1, description="multiplies the rate, each drop")

    def after_warmup(self, step: int, total: int, steps_per_epoch: int, base_lr: float) -> float:
        """Return the base learning rate times `factor` for each `every` epochs."""
        del total
        return base_lr * self.factor ** (step // (self.every * steps_per_epoch))
