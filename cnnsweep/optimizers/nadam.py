"""Adam with Nesterov momentum (Dozat, 2016)."""

from typing import Annotated, ClassVar

from pydantic import Field

from cnnsweep.field_types import Number
from cnnsweep.optimizers.base import Flag, Positive, Share
from cnnsweep.optimizers.torch_optimizer import TorchOptimizer


class NAdam(TorchOptimizer, name="nadam"):
    """Adam with Nesterov momentum (Dozat, 2016)."""

    of_torch: ClassVar[str] = "NAdam"
    beta1: Share = 0.9
    beta2: Share = 0.999
    eps: Positive = 1e-8
    momentum_decay: Annotated[float, Number(least=0)] = Field(
        default=0.004, description="how fast the momentum of nadam comes to beta1"
    )
    decoupled_weight_decay: Flag = Field(default=False, description="whether weights decay as by adamw")
