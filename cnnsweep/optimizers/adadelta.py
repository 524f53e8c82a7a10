"""Adadelta (Zeiler, arXiv:1212.5701)."""

from typing import ClassVar

from pydantic import Field

from cnnsweep.optimizers.base import Positive, Share
from cnnsweep.optimizers.torch_optimizer import TorchOptimizer


class Adadelta(TorchOptimizer, name="adadelta"):
    """Adadelta (Zeiler, arXiv:1212.5701)."""

    of_torch: ClassVar[str] = "Adadelta"
    eps: Positive = 1e-6
    rho: Share = Field(default=0.9, description="how slowly adadelta's mean squared gradient moves")
