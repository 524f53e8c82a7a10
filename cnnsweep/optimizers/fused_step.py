"""Optimizer of one run, and its steps."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnnsweep.errors import UsageError
from cnnsweep.optimizers.base import OPTIMIZERS, make_optimizer
from cnnsweep.optimizers.whole_state import (
    keep_number_types,
    parameters_of,
    read_weights,
    switch_modes,
    write_weights,
)
from cnnsweep.types import Hyperparameters


class RunOptimizer:
    """Stock optimizer of one run, with gradient clipping, stepped by its kernel alone once its state exists.

    The kernel gets the tensors of the stock optimizer's state, so the state dict is the stock one and the result is
    equal to the last bit. It skips Python code that takes longer than the arithmetic of a small network.

    Args:
        parameters: the run's tensors; slices of stacked parameters, or the plain module's own.
    """

    def __init__(self, hyperparameters: Hyperparameters, parameters: Sequence[Tensor], device: torch.device) -> None:
        self._optimizer = make_optimizer(hyperparameters)
        self._weights = list(parameters)
        self._is_custom = not OPTIMIZERS.is_built_in(hyperparameters.optimizer)
        self._parameters = parameters_of(self._weights) if self._is_custom else self._weights
        self.stock = self._optimizer.build(self._parameters, hyperparameters.lr, device)
        self._scales = [_scale(group, hyperparameters.lr) for group in self.stock.param_groups]
        self._grad_clip = hyperparameters.grad_clip
        self._is_fused = bool(self.stock.defaults.get("fused")) and self._optimizer.fused_state is not None
        self._state: _KernelState | None = None
        self._is_uneven = False  # some parameters have taken more steps than others, permanently
        self._lr: float | None = None  # learning rate of the last step

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor | None], lr: float) -> None:
        """Update the parameters.

        Args:
            gradients: one per parameter, in the same memory order; None if the loss does not depend on it.
        """
        known = [gradient for gradient in gradients if gradient is not None]
        self._lr = lr
        if self._grad_clip is not None and known:
            norm = nn.utils.get_total_norm(known)
            torch._foreach_mul_(known, (self._grad_clip / (norm + 1e-6)).clamp(max=1.0))
        if self._is_fused and len(known) == len(gradients):
            if self._state is None and not self._is_uneven:
                self._state = self._collect_state()
            if self._state is not None:
                self._optimizer.fused_step(self._parameters, known, self._state.tensors, self._state.step, lr)
                return
        self._give_state_back()
        self._is_uneven = self._is_uneven or (self._optimizer.counts_steps and len(known) < len(gradients))
        if self._is_fused:
            given = zip(self._parameters, gradients, strict=True)
            self._optimizer.before_step(self.stock.state, [p for p, gradient in given if gradient is not None])
        if self._is_custom:
            read_weights(self._parameters, self._weights)
            gradients = [None if gradient is None else gradient.contiguous() for gradient in gradients]
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        self._set_rate(lr)
        self.stock.step()
        for parameter in self._parameters:
            parameter.grad = None
        if self._is_custom:
            write_weights(self._parameters, self._weights)

    def set_training(self, is_training: bool) -> None:
        """Switch an optimizer that has other weights in evaluation, such as those of schedulefree."""
        if self._is_custom:
            # In inference mode it would make tensors that no later step may change.
            with torch.inference_mode(False), torch.no_grad():
                read_weights(self._parameters, self._weights)
                switch_modes(self.stock, is_training)
                write_weights(self._parameters, self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the stock optimizer's state dict."""
        if self._state is not None and self._state.step is not None:
            torch._foreach_copy_(self._state.steps, [self._state.step] * len(self._state.steps))
        if self._lr is not None:
            self._set_rate(self._lr)
        return self.stock.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a stock optimizer's state dict, from a run alone or in a group."""
        self._state, self._is_uneven, self._lr = None, False, None
        self.stock.load_state_dict(copy.deepcopy(dict(state)))  # otherwise steps would change the caller's tensors
        keep_number_types(self.stock, state)
        for parameter, values in self.stock.state.items():
            for name, value in values.items() if isinstance(parameter, Tensor) else ():
                # Kernels walk through memory, so the state must have its parameter's memory order.
                if isinstance(value, Tensor) and value.shape == parameter.shape and value.ndim:
                    values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)

    def _set_rate(self, lr: float) -> None:
        """Give each group of parameters its learning rate: one with twice the others' keeps twice theirs."""
        for group, scale in zip(self.stock.param_groups, self._scales, strict=True):
            group["lr"] = lr * scale

    def _collect_state(self) -> _KernelState | None:
        """Return the stock optimizer's state, if it is complete for every parameter, with equal numbers of steps."""
        names = [*(self._optimizer.fused_state or ()), *(["step"] if self._optimizer.counts_steps else [])]
        states = [self.stock.state.get(parameter, {}) for parameter in self._parameters]
        if not all(isinstance(state.get(name), Tensor) for state in states for name in names):
            return None
        lists = {name: [state[name] for state in states] for name in names}
        steps = lists.pop("step", [])
        if len({float(step) for step in steps}) > 1:
            self._is_uneven = True
            return None
        return _KernelState(lists, steps, steps[0].clone() if steps else None)

    def _give_state_back(self) -> None:
        """Prepare the stock optimizer's own step to continue after the kernel's steps."""
        if self._state is not None:
            self.state_dict()
            self._state = None


def _scale(group: Mapping[str, Any], lr: float) -> float:
    """Return a group's learning rate as a multiple of the run's."""
    if "lr" not in group:
        raise UsageError("its parameter groups have no 'lr', so the learning rate would have no effect")
    return float(group["lr"]) / lr if lr else 1.0


@dataclass(slots=True)
class _KernelState:
    """State that a kernel reads and writes, by name and parameter.

    Attributes:
        steps: the stock optimizer's counters, one per parameter; updated when its state is read.
        step: the single counter that replaces them.
    """

    tensors: Mapping[str, list[Tensor]]
    steps: list[Tensor]
    step: Tensor | None
