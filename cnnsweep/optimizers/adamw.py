"""Adam with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cnnsweep.optimizers.adam import Adam
from cnnsweep.optimizers.base import Decay

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class AdamW(Adam, name="adamw"):
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv:1711.05101)."""

    weight_decay: Decay = 0.01

    def build(self, parameters: Iterable[Tensor], lr: float, device: torch.device) -> torch.optim.Optimizer:
        """Return torch's AdamW, fused where there is a kernel."""
        from torch.optim import AdamW as Torch

        return self._built(Torch, parameters, lr, device)

    def _kernel(self) -> Any:
        import torch

        return torch._fused_adamw_
