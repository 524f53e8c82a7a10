"""Compilation of a model's graph to nodes for K runs, with the differences between variants."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from cnnsweep.errors import FusionError
from cnnsweep.fusion import ops as forms
from cnnsweep.fusion.pointwise import POINTWISE_MODULES
from cnnsweep.fusion.tracing import trace
from cnnsweep.models import operations


class Dispatch(StrEnum):
    """Dispatch of a node for K runs."""

    FAST = "fast"  # a fused form
    VMAP = "vmap"  # all at once, by torch.func.vmap
    EACH = "each"  # run after run: random operations, and operations that vmap cannot do
    ONCE = "once"  # shapes and constants only


@dataclass(slots=True)
class Step:
    """A node of the graph.

    Attributes:
        what: the operation's name.
        operation: a module, a function, or the name of a tensor's method.
        function: for the fallbacks; takes one run's tensors, with a module's own parameters as the first argument.
        form: the fused form, or None.
        names: names of a module's own parameters and buffers.
        how: chosen when the step first runs.
        is_identity: a dropout that is off for every run.
        changes: the node whose value is changed in place.
        others: the different calls of the model's variants, from 1: function, arguments, keyword arguments.
        memory_order: see `fallback.one_by_one`.
        last_uses: nodes whose values are not needed after this one.
    """

    node: fx.Node
    what: str
    operation: Any
    function: Callable[..., Any]
    form: Callable[..., Any] | None
    names: Mapping[str, str] = field(default_factory=dict)
    how: Dispatch | None = None
    is_random: bool = False
    is_identity: bool = False
    changes: fx.Node | None = None
    others: dict[int, tuple[Callable[..., Any], Any, Any]] = field(default_factory=dict)
    memory_order: tuple[int, ...] | None = None
    last_uses: list[fx.Node] = field(default_factory=list)

    @property
    def is_module(self) -> bool:
        return isinstance(self.operation, nn.Module)

    @property
    def words(self) -> str:
        """The operation and its module, for messages."""
        return f"{self.what} '{self.node.target}'" if self.is_module else self.what


def compile_steps(
    variants: Sequence[nn.Module], example: Tensor, classes: int | None = None, *, training: bool
) -> list[Step]:
    """Return the steps of a model in training or evaluation mode.

    Args:
        variants: the model, and others that may differ from it in values and random draws, such as the probability of a
            dropout.
        example, classes: see `trace`.

    Raises:
        FusionError: a model cannot be traced, or the variants differ in more.
    """
    steps = _steps_of(variants[0], example, classes, training=training)
    for number, model in enumerate(variants[1:], start=1):
        _add_variant(steps, _steps_of(model, example, classes, training=training), number)
    seen: set[fx.Node] = set()
    for step in reversed(steps):  # seen from the end, the first use is the last one
        for used in step.node.all_input_nodes:
            if used not in seen:
                seen.add(used)
                step.last_uses.append(used)
    return steps


def _steps_of(model: nn.Module, example: Tensor, classes: int | None, *, training: bool) -> list[Step]:
    model.train(training)
    modules = dict(model.named_modules(remove_duplicate=False))
    return [_step(node, modules) for node in trace(model, example, classes).nodes]


def _step(node: fx.Node, modules: Mapping[str, nn.Module]) -> Step:
    if node.op == "call_module":
        module = _kept_off_views(modules[str(node.target)], node, modules)
        own = [*module.named_parameters(), *module.named_buffers()]
        if own and isinstance(module, torch.jit.ScriptModule):
            raise FusionError(f"'{node.target}' is compiled by torch.jit.script, and its weights cannot be replaced")
        step = Step(
            node,
            type(module).__name__,
            module,
            lambda tensors, *args, **kwargs: (
                functional_call(module, dict(tensors), args, kwargs) if tensors else module(*args, **kwargs)
            ),
            forms.module_form(module),
            {name: f"{node.target}.{name}" for name, _ in own},
        )
    elif node.op == "call_function":
        assert callable(node.target)
        name = getattr(node.target, "__name__", str(node.target))
        step = Step(node, name, node.target, node.target, forms.function_form(node.target))
    elif node.op == "call_method":
        method = str(node.target)
        step = Step(node, method, method, forms.tensor_method(method), forms.method_form(method))
    else:
        return Step(node, node.op, None, lambda: None, None)
    if operations.looks_at_memory(step.operation):
        raise FusionError(f"{step.what}: depends on how values lie in memory")
    step.is_random = operations.is_random(step.operation)
    step.is_identity = step.is_random and operations.is_switched_off(step.operation, node.args, node.kwargs)
    is_in_place = not step.is_identity and operations.changes_in_place(step.operation, node.args, node.kwargs)
    if is_in_place and node.args and isinstance(node.args[0], fx.Node):
        step.changes = node.args[0]
    return step


def _kept_off_views(module: nn.Module, node: fx.Node, modules: Mapping[str, nn.Module]) -> nn.Module:
    """Return an element-wise module that does not change a linear layer's output in place.

    For K runs that output is a view, and around a change in place of a view autograd copies the gradient three times.
    """
    is_in_place = module.training and isinstance(module, POINTWISE_MODULES) and getattr(module, "inplace", False)
    if not is_in_place or not node.args:
        return module
    before = node.args[0]
    if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
        return module
    if type(modules[str(before.target)]) is not nn.Linear:
        return module
    other = copy.copy(module)
    other.inplace = False  # type: ignore[assignment]  # torch's stub knows tensors and modules as attributes only
    return other


def _add_variant(steps: Sequence[Step], others: Sequence[Step], number: int) -> None:
    """Add the differences of a variant to the steps.

    Raises:
        FusionError: they differ in more than random draws.
    """
    if [_identity(step) for step in steps] != [_identity(other) for other in others]:
        raise FusionError("its operations differ from run to run")
    own_nodes = {step.node.name: step.node for step in steps}
    for step, other in zip(steps, others, strict=True):
        args, kwargs = fx.node.map_arg((other.node.args, other.node.kwargs), lambda node: own_nodes[node.name])
        is_same_call = (args, kwargs) == (step.node.args, step.node.kwargs)
        is_same_module = not step.is_module or repr(step.operation) == repr(other.operation)
        if is_same_call and is_same_module:
            continue
        if not step.is_random:
            raise FusionError(f"{step.words} differs from run to run")
        step.others[number] = (other.function, args, kwargs)
        step.is_identity = step.is_identity and other.is_identity
        step.changes = step.changes or (None if other.changes is None else own_nodes[other.changes.name])


def _identity(step: Step) -> tuple[str, str, str, Any]:
    target = step.operation if step.node.op == "call_function" else str(step.node.target)
    return step.node.name, step.node.op, step.what, target
