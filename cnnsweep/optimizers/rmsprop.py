"""RMSprop (Tieleman and Hinton, 2012)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cnnsweep.optimizers.base import Optimizer, Positive, Share, without_compiler

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class RMSprop(Optimizer, name="rmsprop"):
    """RMSprop (Tieleman and Hinton, 2012)."""

    momentum: Share = 0.0
    eps: Positive = 1e-8

    def build(self, parameters: Iterable[Tensor], lr: float, device: torch.device) -> torch.optim.Optimizer:
        """Return torch's RMSprop, which has no fused kernel."""
        from torch.optim import RMSprop as Torch

        del device
        rmsprop: type[Torch] = without_compiler(Torch)
        decay = self.weight_decay
        return rmsprop(parameters, lr=lr, momentum=self.momentum, eps=self.eps, weight_decay=decay, foreach=True)
