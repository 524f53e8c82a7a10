"""K models of one architecture as one: stacked parameters, and a graph whose nodes run for all K."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree  # nested arguments; torch has no public name for it

from cnnsweep.errors import FusionError
from cnnsweep.fusion import fallback as general
from cnnsweep.fusion.graph import Dispatch, Step, compile_steps
from cnnsweep.fusion.memory_format import note_memory_orders
from cnnsweep.fusion.rng import RunGenerators
from cnnsweep.fusion.stacked_tensor import Stacked
from cnnsweep.fusion.tracing import HAS_GRADIENT
from cnnsweep.seeding import kept_generators


class FusedModel:
    """K models of one architecture, run as one.

    Attributes:
        tensors: parameters and buffers by name, (K, *shape); names of one tensor share it. Parameters are leaves of
            autograd: their gradients are (K, *shape) as well.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        example: Tensor,
        variants: Sequence[int] | None = None,
        order: torch.memory_format = torch.channels_last,
        classes: int | None = None,
    ) -> None:
        """Trace the model, stack all models' parameters and buffers, and try every node.

        Args:
            models: K modules, all on one device, of one floating-point type.
            variants: K numbers from 0; models with equal numbers differ only in values, others also in their random
                draws. By default all are equal.
            example: (2, C, H, W) images to try the nodes, channels-last.
            order: memory order of the images when a model trains alone.
            classes: number of logits to find in the output; None takes the output unchanged.

        Raises:
            FusionError: the model's code cannot be traced, or an operation cannot run for K runs.
        """
        self.runs = len(models)
        self.generators = RunGenerators(example.device)
        self._variant_of = list(variants or [0] * len(models))
        self._variants = [models[self._variant_of.index(number)] for number in range(max(self._variant_of) + 1)]
        self._first = models[0]
        self.tensors = _stack_all(models)
        alone = example.to(memory_format=order)
        self._programs = {mode: compile_steps(self._variants, alone, classes, training=mode) for mode in (True, False)}
        self._refuse_other_constants(models)
        self._try_out(example, order)

    def __call__(self, images: Tensor, copies: int, *, training: bool) -> Tensor:
        """Return the logits (K, N, classes).

        Args:
            images: (N, copies·C, H, W); each copy is seen by K / copies consecutive runs.
        """
        if self._first.training is not training:  # some fused forms read the module's mode
            for model in self._variants:
                model.train(training)
        logits = self._run(self._programs[training], Stacked.by_channels(images, self.runs, copies))
        if not isinstance(logits, Stacked):
            kind = type(logits).__name__.removeprefix("immutable_")  # torch.fx has lists and dicts of its own
            raise FusionError(f"its forward returns a {kind} that is not a tensor of logits")
        return logits.in_runs().tensor

    def keep(self, positions: Sequence[int]) -> None:
        """Remove all other runs."""
        kept = {}
        for stacked in self.tensors.values():
            if id(stacked) not in kept:
                stack = torch.stack([stacked.tensor.detach()[position] for position in positions])
                kept[id(stacked)] = Stacked.by_runs(stack.requires_grad_(stacked.tensor.requires_grad))
        self.tensors = {name: kept[id(stacked)] for name, stacked in self.tensors.items()}
        self._variant_of = [self._variant_of[position] for position in positions]
        self.runs = len(positions)

    def state_of(self, position: int) -> dict[str, Tensor]:
        """Return one run's state dict, of views, as the plain module would return it."""
        return {name: self.tensors[name].tensor.detach()[position] for name in self._first.state_dict()}

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The trained stacked parameters by name; a shared one only under its first name."""
        named = self._first.named_parameters()
        return {name: self.tensors[name].tensor for name, parameter in named if parameter.requires_grad}

    @property
    def draws_random_numbers(self) -> bool:
        """True if some operation may draw in training."""
        return any(step.how is Dispatch.EACH for step in self._programs[True])

    def forms(self, *, training: bool) -> dict[str, Dispatch]:
        """Return the dispatch of each node, by its operation."""
        return {f"{step.node.name} ({step.what})": step.how or Dispatch.ONCE for step in self._programs[training]}

    def _run(self, steps: Sequence[Step], images: Stacked) -> Any:
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
                        values[node] = self._do(step, args, kwargs, values)
                except FusionError as error:
                    raise FusionError(f"{step.words}: {error}") from error
                if step.changes is not None and step.how is not Dispatch.ONCE:
                    changed = args[0] if values[node] is None else values[node]
                    for other in [other for other, value in values.items() if value is args[0]]:
                        values[other] = changed
            for used in step.last_uses:
                del values[used]
        raise AssertionError("a graph ends with its output")

    def _do(self, step: Step, args: Any, kwargs: Any, values: Mapping[fx.Node, Any]) -> Any:
        """Run one node; the first time, choose its dispatch."""
        if step.how is None:
            step.how = self._find_form(step, args, kwargs)
        if step.is_identity:
            return args[0]
        if step.how is Dispatch.ONCE:
            return step.function(*args, **kwargs)
        if step.how is Dispatch.FAST:
            assert step.form is not None
            return self._fast(step, args, kwargs)
        if step.how is Dispatch.VMAP:
            return general.all_at_once(step.function, self._with_tensors(step, args), kwargs)
        calls = {0: (step.function, self._with_tensors(step, args), kwargs)}
        for number, (function, own_args, own_kwargs) in step.others.items():
            own_args, own_kwargs = fx.node.map_arg((own_args, own_kwargs), values.__getitem__)
            calls[number] = (function, self._with_tensors(step, own_args), own_kwargs)
        of_runs = [calls.get(number, calls[0]) for number in self._variant_of]
        return general.one_by_one(of_runs, self.generators, step.memory_order)

    def _fast(self, step: Step, args: Any, kwargs: Any) -> Any:
        assert step.form is not None
        if step.is_module:
            return step.form(step.operation, *self._with_tensors(step, args), **kwargs)
        return step.form(step.function, *args, **kwargs)

    def _with_tensors(self, step: Step, args: Any) -> Any:
        """Return the arguments, preceded by a module's own parameters and buffers."""
        if not step.is_module:
            return args
        return ({name: self.tensors[full] for name, full in step.names.items()}, *args)

    def _find_form(self, step: Step, args: Any, kwargs: Any) -> Dispatch:
        is_stacked = any(isinstance(leaf, Stacked) for leaf in pytree.tree_leaves((args, kwargs)))
        if step.is_random and not step.is_identity:
            return Dispatch.EACH
        if not is_stacked and not step.names:
            return Dispatch.ONCE
        if step.is_identity:
            return Dispatch.FAST
        if step.form is not None and self._is_fit(step, args, kwargs):
            return Dispatch.FAST
        args = self._with_tensors(step, args)
        return Dispatch.VMAP if general.can_run_at_once(step.function, args, kwargs) else Dispatch.EACH

    def _is_fit(self, step: Step, args: Any, kwargs: Any) -> bool:
        try:
            return self._fast(step, args, kwargs) is not NotImplemented
        except (TypeError, AttributeError, RuntimeError):  # arguments that the fused form does not support
            return False

    def _attribute(self, target: str) -> Any:
        if target in self.tensors:
            return self.tensors[target]
        found: Any = self._first
        for name in target.split("."):
            found = getattr(found, name)
        return found

    def _refuse_other_constants(self, models: Sequence[nn.Module]) -> None:
        """Raise if a tensor that is neither parameter nor buffer differs: all runs share it."""
        targets = {str(s.node.target) for steps in self._programs.values() for s in steps if s.node.op == "get_attr"}
        for target in sorted(targets - self.tensors.keys()):
            value, path = self._attribute(target), target.split(".")
            for model in models[1:]:
                other: Any = model
                for name in path:
                    other = getattr(other, name, None)
                if isinstance(value, Tensor) and isinstance(other, Tensor) and not torch.equal(value, other):
                    raise FusionError(f"'{target}' has different values from run to run, but is no parameter or buffer")

    def _try_out(self, example: Tensor, order: torch.memory_format) -> None:
        """Run both graphs once, so that every node has its dispatch, and restore parameters and buffers."""
        before = {name: stacked.tensor.detach().clone() for name, stacked in self.tensors.items()}
        try:
            with kept_generators(example.device):
                for training, steps in self._programs.items():
                    images = example.to(memory_format=order)
                    note_memory_orders(self._first, steps, images, training=training)
                    self(example.clone(), 1, training=training)
        except FusionError:
            raise
        except Exception as error:
            raise FusionError(" ".join(f"{type(error).__name__}: {error}".split())) from error
        finally:
            with torch.no_grad():
                for name, stacked in self.tensors.items():
                    stacked.tensor.copy_(before[name])


def _stack_all(models: Sequence[nn.Module]) -> dict[str, Stacked]:
    """Stack parameters and buffers by name; a tensor with two names in the model has one stack."""
    named = [
        dict([*m.named_parameters(remove_duplicate=False), *m.named_buffers(remove_duplicate=False)]) for m in models
    ]
    if any(tensors.keys() != named[0].keys() for tensors in named):
        raise FusionError("its parameters have different names from run to run")
    stacks: dict[int, Stacked] = {}
    by_name = {}
    for name, tensor in named[0].items():
        if id(tensor) not in stacks:
            values = [tensors[name].detach() for tensors in named]
            if any(value.shape != tensor.shape for value in values):
                raise FusionError(f"'{name}' has different shapes from run to run")
            # Contiguous, even if the parts are not: optimizers' kernels copy other tensors.
            stack = torch.stack([value.contiguous() for value in values])
            stacks[id(tensor)] = Stacked.by_runs(stack.requires_grad_(tensor.requires_grad))
        by_name[name] = stacks[id(tensor)]
    return by_name
