"""Resilient backpropagation (Riedmiller and Braun, 1993)."""

from typing import Annotated, ClassVar

from pydantic import Field

from cnnsweep.field_types import ListOf, Number
from cnnsweep.optimizers.torch_optimizer import TorchOptimizer

_Pair = ListOf(
    Annotated[float, Number(above=0)], "a list of two numbers above 0; for an axis, a list of such lists", (2, 2)
)


class Rprop(TorchOptimizer, name="rprop"):
    """Resilient backpropagation (Riedmiller and Braun, 1993), for batches of all images."""

    of_torch: ClassVar[str] = "Rprop"
    weight_decay: ClassVar[float]  # type: ignore[misc] # torch's has none
    etas: Annotated[list[float], _Pair] = Field(
        default=[0.5, 1.2], description="what a step size of rprop is multiplied by where the sign changes, and else"
    )
    step_sizes: Annotated[list[float], _Pair] = Field(
        default=[1e-6, 50.0], description="smallest and largest step size of rprop"
    )
