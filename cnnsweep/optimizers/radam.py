"""Rectified Adam (Liu et al., arXiv:1908.03265)."""

from typing import ClassVar

from pydantic import Field

from cnnsweep.optimizers.base import Flag, Positive, Share
from cnnsweep.optimizers.torch_optimizer import TorchOptimizer


class RAdam(TorchOptimizer, name="radam"):
    """Rectified Adam (Liu et al., arXiv:1908.03265)."""

    of_torch: ClassVar[str] = "RAdam"
    beta1: Share = 0.9
    beta2: Share = 0.999
    eps: Positive = 1e-8
    decoupled_weight_decay: Flag = Field(default=False, description="whether weights decay as by adamw")
