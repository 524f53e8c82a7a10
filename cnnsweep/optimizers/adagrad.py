"""Adagrad (Duchi et al., 2011)."""

from typing import Annotated, ClassVar

from pydantic import Field

from cnnsweep.field_types import Number
from cnnsweep.optimizers.base import Positive
from cnnsweep.optimizers.torch_optimizer import TorchOptimizer


class Adagrad(TorchOptimizer, name="adagrad"):
    """Adagrad (Duchi et al., 2011)."""

    of_torch: ClassVar[str] = "Adagrad"
    state_copies: ClassVar[int] = 1
    eps: Positive = 1e-10
    lr_decay: Annotated[float, Number(least=0)] = Field(
        default=0.0, description="after n steps the rate of adagrad is lr / (1 + n * lr_decay)"
    )
    initial_accumulator_value: Annotated[float, Number(least=0)] = Field(
        default=0.0, description="where adagrad's sums of squared gradients begin"
    )
