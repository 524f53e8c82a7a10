"""Adafactor (Shazeer and Stern, arXiv:1804.04235)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from cnnsweep.field_types import Number
from cnnsweep.optimizers.torch_optimizer import TorchOptimizer


class Adafactor(TorchOptimizer, name="adafactor"):
    """Adafactor (Shazeer and Stern, arXiv:1804.04235)."""

    of_torch: ClassVar[str] = "Adafactor"
    state_copies: ClassVar[int] = 1
    eps: Annotated[float | None, Number(above=0)] = None  # the smallest step of the number type
    eps2: Annotated[float, Number(above=0)] = Field(
        default=1e-3, description="the smallest size of weights that scales a step of adafactor"
    )
    beta2_decay: Annotated[float, Number(most=0)] = Field(
        default=-0.8, description="power of the step by which adafactor's mean squared gradient slows down"
    )
    d: Annotated[float, Number(least=1)] = Field(default=1.0, description="the largest size of a step of adafactor")

    def torch_arguments(self) -> dict[str, Any]:
        """Return the arguments of torch's class, in which the two eps are one."""
        values = super().torch_arguments()
        values["eps"] = values["eps"], values.pop("eps2")
        return values
