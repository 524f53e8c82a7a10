"""Stochastic gradient descent, optionally with momentum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from cnnsweep.optimizers.base import Flag, Optimizer, Share, has_kernel, without_compiler

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_MOMENTUM = "momentum_buffer"


class SGD(Optimizer, name="sgd"):
    """Stochastic gradient descent, with momentum or Nesterov's."""

    state_copies: ClassVar[int] = 1
    momentum: Share = 0.0
    nesterov: Flag = False
    dampening: Share = Field(default=0.0, description="share of the gradient that sgd's momentum leaves out")

    def build(self, parameters: Iterable[Tensor], lr: float, device: torch.device) -> torch.optim.Optimizer:
        """Return torch's SGD, fused where there is a kernel."""
        from torch import optim

        sgd: type[optim.SGD] = without_compiler(optim.SGD)
        # Dampening leaves the first gradient whole, which `before_step` cannot give to parameters that come late.
        fast = {"foreach": True} if self.dampening else {"fused": has_kernel(device)}
        return sgd(
            parameters,
            lr=lr,
            momentum=self.momentum,
            nesterov=self.nesterov and self.momentum > 0,  # torch refuses Nesterov without momentum
            weight_decay=self.weight_decay,
            dampening=self.dampening,
            **fast,
        )

    @property
    def fused_state(self) -> tuple[str, ...]:
        return (_MOMENTUM,) if self.momentum else ()

    def fused_step(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        state: Mapping[str, list[Tensor]],
        step: Tensor | None,
        lr: float,
    ) -> None:
        """Call torch's kernel."""
        import torch

        del step  # SGD counts no steps
        torch._fused_sgd_(
            parameters,
            gradients,
            state.get(_MOMENTUM, []),
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=lr,
            dampening=0.0,
            nesterov=self.nesterov,
            maximize=False,
            is_first_step=False,
        )

    def before_step(self, state: Mapping[Tensor, Any], parameters: Sequence[Tensor]) -> None:
        """Start parameters that get their first gradient later than others with a momentum of zero.

        This equals no momentum; torch's kernel needs the momentum of all parameters or of none.
        """
        import torch

        if not self.momentum:
            return
        late = [parameter for parameter in parameters if _MOMENTUM not in state[parameter]]
        if len(late) < len(parameters):
            for parameter in late:
                state[parameter][_MOMENTUM] = torch.zeros_like(parameter)
