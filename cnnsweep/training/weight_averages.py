"""Exponential moving averages of the weights of K runs, updated after every optimizer step.

The average after t steps is that of the weights after each of them, with weights decay^(t-i): no initial weights count
in it, so that it also helps in a short training. With many steps it is the usual one, `decay·average +
(1-decay)·weights`. Running statistics of batch norm are averaged too, as timm's `ModelEmaV3` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from cnnsweep.datasets.images import to_device
from cnnsweep.types import EMA, SWA

Tensors = Mapping[str, Tensor]


def averaged_names(model: nn.Module) -> list[str]:
    """Return the names of the state dict that averages have: trained parameters and buffers, of floating point."""
    trained = {name for name, p in model.named_parameters(remove_duplicate=False) if p.requires_grad}
    buffers = {name for name, _ in model.named_buffers(remove_duplicate=False)}
    state = model.state_dict().items()
    return [
        name
        for name, tensor in state
        if (name in trained or name in buffers) and isinstance(tensor, Tensor) and tensor.is_floating_point()
    ]


class WeightAverages:
    """The averages of K runs.

    Args:
        decays: of each run; None for a run without an average, whose values here mean nothing.
        current: returns the present values by name: the plain model's for one run, else stacked, (K, *shape).
    """

    def __init__(self, decays: Sequence[float | None], current: Callable[[], Tensors], *, is_stacked: bool) -> None:
        self._decays = list(decays)
        self._current = current
        self._is_stacked = is_stacked
        self._steps = [0] * len(decays)
        self._averages = {name: tensor.detach().clone() for name, tensor in current().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Add the weights after an optimizer step; nothing waits for the device."""
        self._steps = [steps + 1 for steps in self._steps]
        shares = [_share(decay, steps) for decay, steps in zip(self._decays, self._steps, strict=True)]
        averages, current = list(self._averages.values()), list(self._current().values())
        if not self._is_stacked:
            torch._foreach_lerp_(averages, current, shares[0])
            return
        on_device = {
            dtype: to_device(torch.tensor(shares, dtype=dtype), current[0].device)
            for dtype in {tensor.dtype for tensor in current}
        }
        for average, tensor in zip(averages, current, strict=True):  # one kernel each, for all runs
            average.lerp_(tensor, on_device[tensor.dtype].view(-1, *[1] * (tensor.ndim - 1)))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Have the models compute with the averages, and restore their own weights afterwards."""
        with torch.no_grad():
            current = list(self._current().values())
            own = [tensor.clone() for tensor in current]
            torch._foreach_copy_(current, list(self._averages.values()))
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(list(self._current().values()), own)

    def state(self, position: int) -> dict[str, Any] | None:
        """Return the average of a run for its checkpoint; None without one. Its tensors change with the next step."""
        if self._decays[position] is None:
            return None
        averages = self._averages.items()
        weights = {name: tensor[position] if self._is_stacked else tensor for name, tensor in averages}
        return {"steps": self._steps[position], "weights": weights}

    @torch.no_grad()
    def restore(self, position: int, state: Mapping[str, Any]) -> None:
        """Restore the average of a run."""
        self._steps[position] = state["steps"]
        for name, average in self._averages.items():
            own = average[position] if self._is_stacked else average
            own.copy_(state["weights"][name])


def with_average(optimizer: Mapping[str, Any], averages: WeightAverages | None, position: int) -> dict[str, Any]:
    """Return the state of an optimizer, with the average of its run where there is one."""
    state = None if averages is None else averages.state(position)
    return dict(optimizer) if state is None else {**optimizer, EMA: state}


def of_optimizer(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of an optimizer alone, without averages of the weights."""
    return {name: value for name, value in state.items() if name not in (EMA, SWA)}


def _share(decay: float | None, steps: int) -> float:
    """Return the share of the weights after step number `steps` in the average; 1 for a run without an average."""
    if decay is None:
        return 1.0
    return (1 - decay) / -math.expm1(steps * math.log(decay))
