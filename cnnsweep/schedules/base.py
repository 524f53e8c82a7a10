"""Contract of schedules: the learning rate of a step as a pure function, with no state to save or restore.

    class Exponential(WarmUp, name="exponential"):
        \"\"\"The learning rate falls by a share in each epoch.\"\"\"

        gamma: float = 0.9

        def after_warmup(self, step, total, steps_per_epoch, base_lr):
            return base_lr * self.gamma ** (step / steps_per_epoch)

A schedule may read the step, the length of the run, and the metrics of the run's epochs before, and nothing else: so a
resumed run has the same rates.

In a sweep file, a function of step, steps, epochs and lr will do too: `my.py:triangle`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import FunctionType
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from cnnsweep.errors import UsageError
from cnnsweep.field_types import Number
from cnnsweep.registry import Component, Registry
from cnnsweep.schedules.rates import GIVEN, RATES, checked_arguments, is_rate
from cnnsweep.signatures import component_of
from cnnsweep.types import Choice


class Schedule(Component):
    """Base of schedules.

    Attributes:
        depends_on_length: the learning rate of an epoch depends on the number of epochs of the whole run, so that a
            shorter run is not the beginning of a longer one.
    """

    depends_on_length: ClassVar[bool] = True

    def lr_at(self, step: int, steps_per_epoch: int, epochs: int, base_lr: float) -> float:
        """Return the learning rate of one step.

        Args:
            step: counted from 0 over the whole run.
            epochs: number of epochs of the whole run.
            base_lr: the hyperparameter `lr`.
        """
        raise NotImplementedError

    def lr_factor(self, history: Sequence[Mapping[str, float | None]]) -> float:
        """Return the number by which the rates of an epoch are multiplied.

        Args:
            history: the metrics of the run's earlier epochs, in order, by name; see `EpochRecord.metrics`.
        """
        del history
        return 1.0


class WarmUp(Schedule):
    """Base of schedules that may begin with a linear warm-up to lr; the schedule spans the rest."""

    warmup: Annotated[float, Number(least=0)] = Field(
        default=0.0, description="epochs of a linear increase from 0 to lr"
    )

    def lr_at(self, step: int, steps_per_epoch: int, epochs: int, base_lr: float) -> float:
        """Return the learning rate of one step, warm-up included."""
        warmup = round(self.warmup * steps_per_epoch)
        if step < warmup:
            return base_lr * (step + 1) / warmup
        return self.after_warmup(step - warmup, steps_per_epoch * epochs - warmup, steps_per_epoch, base_lr)

    def after_warmup(self, step: int, total: int, steps_per_epoch: int, base_lr: float) -> float:
        """Return the learning rate of a step after the warm-up, out of `total` such steps; both count from its end."""
        raise NotImplementedError


class OwnSchedule(Schedule):
    """Base of a user's own schedules, whose fields are the further arguments of a function.

    Attributes:
        function: gets the step, counted from 0, the steps and epochs of the whole run, and lr.
    """

    model_config = ConfigDict(protected_namespaces=())
    function: ClassVar[Callable[..., Any]]

    def lr_at(self, step: int, steps_per_epoch: int, epochs: int, base_lr: float) -> float:
        """Return what the function returns.

        Raises:
            UsageError: it is no learning rate.
        """
        value = self.returned(step, steps_per_epoch, epochs, base_lr)
        if not is_rate(value):
            raise UsageError(f"schedule {self.name}: returned {value!r:.60} for step {step}, allowed is {RATES}")
        return float(value)

    def returned(self, step: int, steps_per_epoch: int, epochs: int, base_lr: float) -> Any:
        """Return what the function returns, also where it is no number."""
        return type(self).function(step, steps_per_epoch * epochs, epochs, base_lr, **dict(self))


class _OpenSchedule(OwnSchedule):
    """Base where a function takes keyword arguments of any name."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


@cache
def _of_function(function: Callable[..., Any], reference: str) -> type[Schedule]:
    arguments = checked_arguments(function, reference)
    base = _OpenSchedule if arguments.takes_any else OwnSchedule
    made: type[OwnSchedule] = component_of(function, arguments, base, ("function",))
    made.function = staticmethod(function)
    return made


def _of_code(value: Any, reference: str) -> type[Schedule] | None:
    return _of_function(value, reference) if isinstance(value, FunctionType) else None


SCHEDULES = Registry("schedule", "schedules", Schedule, _of_code, leading=len(GIVEN))


def half_cosine(start: float, end: float, share: float) -> float:
    """Return the value at a share of the way between two numbers, along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def depends_on_length(schedule: Choice) -> bool:
    """True if an epoch's learning rate depends on the number of epochs; imports a user's own code."""
    return SCHEDULES.get(schedule.name).depends_on_length
