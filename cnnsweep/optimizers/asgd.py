"""Averaged stochastic gradient descent (Polyak and Juditsky, 1992)."""

from typing import Annotated, ClassVar

from pydantic import Field

from cnnsweep.field_types import Number
from cnnsweep.optimizers.base import Positive
from cnnsweep.optimizers.torch_optimizer import TorchOptimizer


class ASGD(TorchOptimizer, name="asgd"):
    """Averaged stochastic gradient descent (Polyak and Juditsky, 1992).

    As in torch, training and evaluation use the weights themselves; their average is in the optimizer's state alone.
    """

    of_torch: ClassVar[str] = "ASGD"
    foreach: ClassVar[bool | None] = None  # over lists it rounds its rates to float32
    state_copies: ClassVar[int] = 1
    lambd: Annotated[float, Number(least=0)] = Field(default=1e-4, description="how fast the rate of asgd falls")
    alpha: Annotated[float, Number(least=0)] = Field(default=0.75, description="power by which the rate of asgd falls")
    t0: Positive = Field(default=1e6, description="the step at which asgd begins to average")
