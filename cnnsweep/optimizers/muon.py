"""Muon (Jordan et al., 2024) for matrices and filters, AdamW for all other weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from cnnsweep.field_types import ListOf, Number, OneOf, Whole
from cnnsweep.optimizers.base import Decay, Flag, Optimizer, Positive, Share, has_kernel, without_compiler

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_THREE = ListOf(Annotated[float, Number()], "a list of three numbers; for an axis, a list of such lists", (3, 3))


class Muon(Optimizer, name="muon"):
    """Muon (Jordan et al., 2024) for matrices and filters, AdamW for all other weights.

    A filter counts as the matrix (out channels, the rest), as in its author's code; torch's Muon takes matrices only.
    """

    momentum: Share = 0.95
    nesterov: Flag = True
    eps: Positive = 1e-7
    weight_decay: Decay = 0.1
    beta1: Share = 0.9
    beta2: Share = 0.999
    ns_coefficients: Annotated[list[float], _THREE] = Field(
        default=[3.4445, -4.775, 2.0315], description="coefficients of muon's Newton-Schulz steps"
    )
    ns_steps: Annotated[int, Whole(1, 99)] = Field(default=5, description="Newton-Schulz steps in a step of muon")
    adjust_lr_fn: Annotated[str, OneOf(("original", "match_rms_adamw", "spectral_unclamped"))] = Field(
        default="original", description="how muon scales lr by the shape of a matrix; match_rms_adamw suits lr of adamw"
    )
    adamw_lr: Positive = Field(default=1.0, description="rate of muon's AdamW, as a multiple of lr")

    state_copies: ClassVar[int] = 2

    def build(self, parameters: Iterable[Tensor], lr: float, device: torch.device) -> torch.optim.Optimizer:
        """Return torch's Muon and AdamW as one."""
        from cnnsweep.optimizers.muon_step import MuonAndAdamW

        muon = self.model_dump(include={"momentum", "nesterov", "eps", "weight_decay", "ns_steps", "adjust_lr_fn"})
        muon["ns_coefficients"] = tuple(self.ns_coefficients)
        betas = (self.beta1, self.beta2)
        adamw = {"betas": betas, "weight_decay": self.weight_decay, "fused": has_kernel(device)}
        both: type[MuonAndAdamW] = without_compiler(MuonAndAdamW)
        return both(parameters, lr, self.adamw_lr, muon, adamw)
