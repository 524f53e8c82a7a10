"""Adam (Kingma and Ba, arXiv:1412.6980)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from cnnsweep.optimizers.base import Flag, Optimizer, Positive, Share, has_kernel, without_compiler

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_LARGEST = "max_exp_avg_sq"


class Adam(Optimizer, name="adam"):
    """Adam (Kingma and Ba, arXiv:1412.6980)."""

    counts_steps: ClassVar[bool] = True
    beta1: Share = 0.9
    beta2: Share = 0.999
    eps: Positive = 1e-8
    amsgrad: Flag = Field(default=False, description="whether the divisor never falls (Reddi et al., arXiv:1904.09237)")

    def build(self, parameters: Iterable[Tensor], lr: float, device: torch.device) -> torch.optim.Optimizer:
        """Return torch's Adam, fused where there is a kernel."""
        from torch.optim import Adam as Torch

        return self._built(Torch, parameters, lr, device)

    def _built(self, kind: Any, parameters: Iterable[Tensor], lr: float, device: torch.device) -> torch.optim.Optimizer:
        adam: type[torch.optim.Adam] = without_compiler(kind)
        return adam(
            parameters,
            lr=lr,
            betas=(self.beta1, self.beta2),
            eps=self.eps,
            weight_decay=self.weight_decay,
            amsgrad=self.amsgrad,
            fused=has_kernel(device),
        )

    @property
    def fused_state(self) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", *([_LARGEST] if self.amsgrad else []))

    def _kernel(self) -> Any:
        import torch

        return torch._fused_adam_

    def fused_step(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        state: Mapping[str, list[Tensor]],
        step: Tensor | None,
        lr: float,
    ) -> None:
        """Call torch's kernel."""
        assert step is not None
        step += 1
        self._kernel()(
            parameters,
            gradients,
            state["exp_avg"],
            state["exp_avg_sq"],
            state.get(_LARGEST, []),
            [step] * len(gradients),
            lr=lr,
            beta1=self.beta1,
            beta2=self.beta2,
            weight_decay=self.weight_decay,
            eps=self.eps,
            amsgrad=self.amsgrad,
            maximize=False,
        )
