"""One cycle (Smith and Topin 2017, Super-Convergence), as torch's OneCycleLR has it."""

from typing import Annotated

from pydantic import Field

from cnnsweep.field_types import Number
from cnnsweep.schedules.base import Schedule, half_cosine

# The defaults of torch's OneCycleLR: start at lr/25, end at lr/250,000.
_START = 1 / 25
_END = _START / 1e4


class OneCycle(Schedule, name="one_cycle"):
    """The learning rate climbs to lr and falls again."""

    peak: Annotated[float, Number(above=0, below=1)] = Field(
        default=0.3, description="the share of training at which lr is reached"
    )

    def lr_at(self, step: int, steps_per_epoch: int, epochs: int, base_lr: float) -> float:
        """Return a rate that climbs from lr/25 to lr, then falls to lr/250,000, along cosines."""
        total = steps_per_epoch * epochs
        up = self.peak * total - 1  # torch's phase boundaries, in steps
        down = total - 1
        if step <= up:
            return base_lr * half_cosine(_START, 1.0, step / up if up > 0 else 1.0)
        return base_lr * half_cosine(1.0, _END, (step - up) / (down - up) if down > up else 1.0)
