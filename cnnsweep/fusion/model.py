"""K models of one architecture as one: stacked parameters, and a graph whose nodes run for all K."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.utils import _pytree as pytree  # nested arguments; torch has no public name for it

from cnnsweep.errors import FusionError
from cnnsweep.fusion import forms, general
from cnnsweep.fusion.generators import RunGenerators
from cnnsweep.fusion.stacked import Stacked
from cnnsweep.fusion.tracing import HAS_GRADIENT, trace


class How(StrEnum):
    """How a node of the graph runs for K runs."""

    FAST = "fast"  # a form of its own
    VMAP = "vmap"  # all at once, by torch.func.vmap
    EACH = "each"  # run after run: what draws random numbers, and what vmap cannot do
    ONCE = "once"  # it has to do with shapes or constants only


@dataclass(slots=True)
class _Step:
    """A node, ready to run.

    Attributes:
        function: for the general ways; takes one run's tensors, a module's own parameters as the first argument.
        form: the fast form, or None.
        names: of a module's own parameters and buffers.
        memory_order: see `general.one_by_one`.
        last_uses: nodes whose values nobody needs after this one.
    """

    node: fx.Node
    what: str
    operation: Any
    function: Callable[..., Any]
    form: Callable[..., Any] | None
    names: Mapping[str, str] = field(default_factory=dict)
    how: How | None = None
    is_random: bool = False
    is_identity: bool = False
    changes: fx.Node | None = None
    memory_order: tuple[int, ...] | None = None
    last_uses: list[fx.Node] = field(default_factory=list)


class FusedModel:
    """K models of one architecture, run as one.

    Attributes:
        tensors: parameters and buffers by name, (K, *shape); names of one tensor share it. Parameters are leaves of
            autograd: their gradients are (K, *shape) as well.
    """

    def __init__(self, models: Sequence[nn.Module], example: Tensor) -> None:
        """Trace the first model, stack all models' parameters and buffers, and try every node.

        Args:
            models: K modules that differ in values alone, all on one device, of one floating-point type.
            example: (N, C, H, W) images to try the nodes with, N ≥ 2.

        Raises:
            FusionError: the model's code cannot be traced, or an operation cannot run for K runs; the message says
                which.
        """
        self.runs = len(models)
        self.generators = RunGenerators(example.device)
        self._first = models[0]
        self.tensors = _stack_all(models)
        self._programs = {mode: self._compile(training=mode) for mode in (True, False)}
        self._refuse_other_constants(models)
        self._try_out(example)

    def __call__(self, images: Tensor, copies: int, *, training: bool) -> Tensor:
        """Return the logits (K, N, classes).

        Args:
            images: (N, copies·C, H, W); each copy is seen by K / copies consecutive runs.
        """
        if self._first.training is not training:  # some forms ask the module
            self._first.train(training)
        logits = self._run(self._programs[training], Stacked.by_channels(images, self.runs, copies))
        if not isinstance(logits, Stacked):
            kind = type(logits).__name__.removeprefix("immutable_")  # torch.fx has lists and dicts of its own
            raise FusionError(f"its forward returns a {kind} that is no tensor of logits")
        return logits.in_runs().tensor

    def keep(self, positions: Sequence[int]) -> None:
        """Let all runs but these leave."""
        kept = {}
        for stacked in self.tensors.values():
            if id(stacked) not in kept:
                stack = torch.stack([stacked.tensor.detach()[position] for position in positions])
                kept[id(stacked)] = Stacked.by_runs(stack.requires_grad_(stacked.tensor.requires_grad))
        self.tensors = {name: kept[id(stacked)] for name, stacked in self.tensors.items()}
        self.runs = len(positions)

    def state_of(self, position: int) -> dict[str, Tensor]:
        """Return one run's state dict, as the plain module would give it, of views."""
        return {name: self.tensors[name].tensor.detach()[position] for name in self._first.state_dict()}

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The stacked parameters that are trained, by name; a shared one under its first name only."""
        named = self._first.named_parameters()
        return {name: self.tensors[name].tensor for name, parameter in named if parameter.requires_grad}

    def forms(self, *, training: bool) -> dict[str, How]:
        """Return how each node of the graph runs, by what it is."""
        return {f"{step.node.name} ({step.what})": step.how or How.ONCE for step in self._programs[training]}

    def _compile(self, *, training: bool) -> list[_Step]:
        self._first.train(training)
        graph = trace(self._first)
        modules = dict(self._first.named_modules(remove_duplicate=False))
        steps = [self._step(node, modules) for node in graph.nodes]
        seen: set[fx.Node] = set()
        for step in reversed(steps):  # the first use met from the end is the last one
            for used in step.node.all_input_nodes:
                if used not in seen:
                    seen.add(used)
                    step.last_uses.append(used)
        return steps

    def _step(self, node: fx.Node, modules: Mapping[str, nn.Module]) -> _Step:
        if node.op == "call_module":
            module = modules[str(node.target)]
            prefix = f"{node.target}."
            own = [*module.named_parameters(), *module.named_buffers()]
            step = _Step(
                node,
                type(module).__name__,
                module,
                lambda tensors, *args, **kwargs: functional_call(module, dict(tensors), args, kwargs),
                forms.module_form(module),
                {name: prefix + name for name, _ in own},
            )
        elif node.op == "call_function":
            assert callable(node.target)
            name = getattr(node.target, "__name__", str(node.target))
            step = _Step(node, name, node.target, node.target, forms.function_form(node.target))
        elif node.op == "call_method":
            method = str(node.target)
            step = _Step(node, method, method, forms.tensor_method(method), forms.method_form(method))
        else:
            return _Step(node, node.op, None, lambda: None, None)
        step.is_random = forms.is_random(step.operation)
        step.is_identity = step.is_random and forms.is_switched_off(step.operation, node.args, node.kwargs)
        is_in_place = not step.is_identity and forms.changes_in_place(step.operation, node.args, node.kwargs)
        if is_in_place and node.args and isinstance(node.args[0], fx.Node):
            step.changes = node.args[0]
        return step

    def _run(self, steps: Sequence[_Step], images: Stacked) -> Any:
        values: dict[fx.Node, Any] = {}
        for step in steps:
            node = step.node
            if node.op == "placeholder":
                values[node] = node.args[0] if node.args else images
            elif node.op == "get_attr":
                values[node] = self._attribute(str(node.target))
            elif node.op == "output":
                return fx.node.map_arg(node.args[0], values.__getitem__)
            else:
                args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
                try:
                    with torch.set_grad_enabled(torch.is_grad_enabled() and node.meta[HAS_GRADIENT]):
                        values[node] = self._do(step, args, kwargs)
                except FusionError as error:
                    raise FusionError(f"{_words(step)}: {error}") from error
                if step.changes is not None and step.how is not How.ONCE:
                    changed = args[0] if values[node] is None else values[node]
                    for other in [other for other, value in values.items() if value is args[0]]:
                        values[other] = changed
            for used in step.last_uses:
                del values[used]
        raise AssertionError("a graph ends in its output")

    def _do(self, step: _Step, args: Any, kwargs: Any) -> Any:
        """Run one node; the first time, find out how."""
        if step.how is None:
            step.how = self._find_form(step, args, kwargs)
        if step.is_identity:
            return args[0]
        if step.how is How.ONCE:
            return step.function(*args, **kwargs)
        if step.how is How.FAST:
            assert step.form is not None
            return self._fast(step, args, kwargs)
        if step.names or isinstance(step.operation, nn.Module):
            args = ({name: self.tensors[full] for name, full in step.names.items()}, *args)
        if step.how is How.VMAP:
            return general.all_at_once(step.function, args, kwargs)
        return general.one_by_one(step.function, args, kwargs, self.runs, self.generators, step.memory_order)

    def _fast(self, step: _Step, args: Any, kwargs: Any) -> Any:
        assert step.form is not None
        if isinstance(step.operation, nn.Module):
            tensors = {name: self.tensors[full] for name, full in step.names.items()}
            return step.form(step.operation, tensors, *args, **kwargs)
        return step.form(step.function, *args, **kwargs)

    def _find_form(self, step: _Step, args: Any, kwargs: Any) -> How:
        is_stacked = any(isinstance(leaf, Stacked) for leaf in pytree.tree_leaves((args, kwargs)))
        if step.is_random and not step.is_identity:
            return How.EACH
        if not is_stacked and not step.names:
            return How.ONCE
        if step.is_identity:
            return How.FAST
        if step.form is not None and self._is_fit(step, args, kwargs):
            return How.FAST
        if isinstance(step.operation, nn.Module):
            args = ({name: self.tensors[full] for name, full in step.names.items()}, *args)
        return How.VMAP if general.can_run_at_once(step.function, args, kwargs) else How.EACH

    def _is_fit(self, step: _Step, args: Any, kwargs: Any) -> bool:
        try:
            return self._fast(step, args, kwargs) is not NotImplemented
        except (TypeError, AttributeError, RuntimeError):  # arguments of a kind that the form does not foresee
            return False

    def _attribute(self, target: str) -> Any:
        if target in self.tensors:
            return self.tensors[target]
        found: Any = self._first
        for name in target.split("."):
            found = getattr(found, name)
        return found

    def _refuse_other_constants(self, models: Sequence[nn.Module]) -> None:
        """Raise if a tensor that is neither parameter nor buffer differs: there is one for all runs."""
        targets = {str(s.node.target) for steps in self._programs.values() for s in steps if s.node.op == "get_attr"}
        for target in sorted(targets - self.tensors.keys()):
            value, path = self._attribute(target), target.split(".")
            for model in models[1:]:
                other: Any = model
                for name in path:
                    other = getattr(other, name, None)
                if isinstance(value, Tensor) and isinstance(other, Tensor) and not torch.equal(value, other):
                    raise FusionError(f"'{target}' has other values from run to run, but is no parameter or buffer")

    def _try_out(self, example: Tensor) -> None:
        """Run both graphs once, so that every node has its form, and leave parameters and buffers as they were."""
        before = {name: stacked.tensor.detach().clone() for name, stacked in self.tensors.items()}
        try:
            with torch.random.fork_rng(devices=[example.device] if example.device.type == "cuda" else []):
                for training, steps in self._programs.items():
                    _note_memory_orders(self._first, steps, example, training=training)
                    self(example.clone(), 1, training=training)
        except FusionError:
            raise
        except Exception as error:
            raise FusionError(" ".join(f"{type(error).__name__}: {error}".split())) from error
        finally:
            with torch.no_grad():
                for name, stacked in self.tensors.items():
                    stacked.tensor.copy_(before[name])


def _words(step: _Step) -> str:
    target = f" '{step.node.target}'" if step.node.op == "call_module" else ""
    return f"{step.what}{target}"


class _MemoryOrders(fx.Interpreter):
    """Runs the plain model and notes how the first argument of each node lies in memory."""

    def __init__(self, model: nn.Module, graph: fx.Graph, steps: Sequence[_Step]) -> None:
        super().__init__(fx.GraphModule(model, graph))
        self._steps = {step.node.name: step for step in steps}
        self.extra_traceback = False  # it makes long messages
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
                raise FusionError(f"{_words(self._steps[n.name])}: changes values in place that have several views")


def _note_memory_orders(model: nn.Module, steps: Sequence[_Step], example: Tensor, *, training: bool) -> None:
    state = {name: tensor.detach().clone() for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
    model.train(training)
    try:
        with torch.no_grad():
            _MemoryOrders(model, steps[0].node.graph, steps).run(example.clone(memory_format=torch.preserve_format))
    finally:
        with torch.no_grad():
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
                tensor.copy_(state[name])


def _stack_all(models: Sequence[nn.Module]) -> dict[str, Stacked]:
    """Stack parameters and buffers by name; a tensor with two names in the model has one stack."""
    named = [
        dict([*m.named_parameters(remove_duplicate=False), *m.named_buffers(remove_duplicate=False)]) for m in models
    ]
    if any(tensors.keys() != named[0].keys() for tensors in named):
        raise FusionError("its parameters have other names from run to run")
    stacks: dict[int, Stacked] = {}
    by_name = {}
    for name, tensor in named[0].items():
        if id(tensor) not in stacks:
            values = [tensors[name].detach() for tensors in named]
            if any(value.shape != tensor.shape for value in values):
                raise FusionError(f"'{name}' has other shapes from run to run")
            # Contiguous, whatever the parts are: optimizers' kernels copy what is not.
            stack = torch.stack([value.contiguous() for value in values])
            stacks[id(tensor)] = Stacked.by_runs(stack.requires_grad_(tensor.requires_grad))
        by_name[name] = stacks[id(tensor)]
    return by_name
