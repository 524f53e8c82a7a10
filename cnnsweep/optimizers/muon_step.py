"""Torch's Muon and AdamW as one optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, optim

from cnnsweep.optimizers.base import without_compiler


class MuonAndAdamW(optim.Optimizer):
    """Torch's Muon for parameters of two dimensions or more, as matrices, and its AdamW for the others.

    Its two groups have a learning rate each. The matrices are copies in one order of elements, so that a step does not
    depend on the memory order of a filter.

    Args:
        adamw_lr: AdamW's learning rate, as a multiple of Muon's.
        muon, adamw: other arguments of torch's classes.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        adamw_lr: float,
        muon: Mapping[str, Any],
        adamw: Mapping[str, Any],
    ) -> None:
        every = list(parameters)
        self._weights = [parameter for parameter in every if parameter.ndim > 1]
        self._matrices = [weight.detach().reshape(len(weight), -1).clone() for weight in self._weights]
        others = [parameter for parameter in every if parameter.ndim < 2]
        given = [("muon", self._weights, lr), ("adamw", others, lr * adamw_lr)]
        groups = [{"params": weights, "lr": rate, "kind": kind} for kind, weights, rate in given if weights]
        super().__init__(groups, {"lr": lr})
        kinds: dict[str, Any] = {"muon": optim.Muon, "adamw": optim.AdamW}
        stepped = {"muon": (self._matrices, muon), "adamw": (others, adamw)}
        self._inner: dict[str, optim.Optimizer] = {}
        for group in self.param_groups:
            weights, arguments = stepped[group["kind"]]
            self._inner[group["kind"]] = without_compiler(kinds[group["kind"]])(weights, lr=lr, **arguments)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all parameters by their gradients."""
        assert closure is None
        for group in self.param_groups:
            self._inner[group["kind"]].param_groups[0]["lr"] = group["lr"]
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            matrix.copy_(weight.reshape(matrix.shape))
            matrix.grad = None if weight.grad is None else weight.grad.reshape(matrix.shape)
        for optimizer in self._inner.values():
            optimizer.step()
        for weight, matrix in zip(self._weights, self._matrices, strict=True):
            if matrix.grad is not None:
                weight.copy_(matrix.reshape(weight.shape))
                matrix.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the groups, and the state dicts of both optimizers."""
        groups = [{key: value for key, value in group.items() if key != "params"} for group in self.param_groups]
        return {"param_groups": groups, **{kind: inner.state_dict() for kind, inner in self._inner.items()}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load what `state_dict` returned."""
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True):
            group["lr"] = saved["lr"]
        for kind, inner in self._inner.items():
            inner.load_state_dict(state_dict[kind])
