"""Memory order of values when a run trains alone, in which random numbers are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from cnnsweep.errors import FusionError
from cnnsweep.fusion import fallback as general
from cnnsweep.fusion.graph import Step
from cnnsweep.fusion.tracing import values_kept


class _Observer(fx.Interpreter):
    """Interpreter of the plain model that records the memory order of each node's first argument."""

    def __init__(self, model: nn.Module, graph: fx.Graph, steps: Sequence[Step]) -> None:
        super().__init__(fx.GraphModule(model, graph))
        self._steps = {step.node.name: step for step in steps}
        self.extra_traceback = False  # its messages are long
        self._places = {step.node.name: place for place, step in enumerate(steps)}

    def run_node(self, n: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        first = next((value for value in [*args, *kwargs.values()] if isinstance(value, Tensor)), None)
        if first is not None:
            self._refuse_views(n, first)
            self._steps[n.name].memory_order = general.memory_order_of(first)
        return super().run_node(n)

    def _refuse_views(self, n: fx.Node, changed: Tensor) -> None:
        """Raise if an operation in place would change other values too: fused, they need not share their memory."""
        if self._steps[n.name].changes is None:
            return
        place, memory = self._places[n.name], changed.untyped_storage().data_ptr()
        for other, value in self.env.items():
            is_used = any(self._places[user.name] > place for user in other.users)
            is_other = isinstance(value, Tensor) and value is not changed
            if is_used and is_other and value.untyped_storage().data_ptr() == memory:
                raise FusionError(f"{self._steps[n.name].words}: changes values in place that have several views")


def note_memory_orders(model: nn.Module, steps: Sequence[Step], example: Tensor, *, training: bool) -> None:
    """Run the plain model once, record the memory orders in its steps, and restore it.

    Raises:
        FusionError: it changes values in place that other views use.
    """
    model.train(training)
    with values_kept(model), torch.no_grad():
        _Observer(model, steps[0].node.graph, steps).run(example.clone(memory_format=torch.preserve_format))
