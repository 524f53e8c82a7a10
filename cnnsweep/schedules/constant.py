"""Constant learning rate."""

from typing import ClassVar

from cnnsweep.schedules.base import WarmUp


class Constant(WarmUp, name="constant"):
    """The learning rate is constant."""

    depends_on_length: ClassVar[bool] = False

    def after_warmup(self, step: int, total: int, steps_per_epoch: int, base_lr: float) -> float:
        """Return the base learning rate."""
        del step, total, steps_per_epoch
        return base_lr
