"""RMSprop (Tieleman and Hinton, 2012)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pydantic import Field

from cnnsweep.optimizers.base import Flag, Optimizer, Positive, Share, without_compiler

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class RMSprop(Optimizer, name="rmsprop"):
    """RMSprop (Tieleman and Hinton, 2012)."""

    momentum: Share = 0.0
    eps: Positive = 1e-8
    alpha: Share = Field(default=0.99, description="how slowly rmsprop's mean squared gradient moves")
    centered: Flag = Field(default=False, description="whether rmsprop divides by the gradient's deviation")

    def build(self, parameters: Iterable[Tensor], lr: float, device: torch.device) -> torch.optim.Optimizer:
        """Return torch's RMSprop, which has no fused kernel."""
        from torch.optim import RMSprop as Torch

        del device
        rmsprop: type[Torch] = without_compiler(Torch)
        return rmsprop(
            parameters,
            lr=lr,
            momentum=self.momentum,
            eps=self.eps,
            weight_decay=self.weight_decay,
            alpha=self.alpha,
            centered=self.centered,
            foreach=True,
        )
