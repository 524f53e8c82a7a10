"""Adamax, Adam with the infinity norm (Kingma and Ba, arXiv:1412.6980)."""

from typing import ClassVar

from cnnsweep.optimizers.base import Positive, Share
from cnnsweep.optimizers.torch_optimizer import TorchOptimizer


class Adamax(TorchOptimizer, name="adamax"):
    """Adam with the infinity norm (Kingma and Ba, arXiv:1412.6980)."""

    of_torch: ClassVar[str] = "Adamax"
    beta1: Share = 0.9
    beta2: Share = 0.999
    eps: Positive = 1e-8
