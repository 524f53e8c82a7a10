"""Tracing of a plain module to its graph of operations, or to an error of one line with the reason."""

from __future__ import annotations

import linecache
import random
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, fx, nn

from cnnsweep.errors import FusionError
from cnnsweep.fusion.attributes import Attributes
from cnnsweep.fusion.custom_functions import functions_recorded, tensors_recognised
from cnnsweep.fusion.proxies import CREATORS, BatchSizeError, KnownProxy, answer, in_batch, taken_apart
from cnnsweep.models.logits import logits_of

# In a node's `meta`: false inside `torch.no_grad()`, which the graph itself does not show.
HAS_GRADIENT = "has_gradient"

_FRAMEWORK, _PACKAGE = Path(torch.__file__).parent, Path(__file__).parent.parent


class _Tracer(fx.Tracer):
    """Tracer that records buffers like parameters, since each run has its own, and executes on two batches."""

    proxy_buffer_attributes = True

    def __init__(self, batches: tuple[Tensor, Tensor], classes: int | None) -> None:
        super().__init__(autowrap_functions=CREATORS)
        self._autowrap_search.append(torch)
        self._batches = batches
        self._classes = classes
        self._is_doing = False  # the inside of an operation is not part of the graph

    def create_args_for_root(self, *_: Any) -> tuple[Any, list[Any]]:
        """Pass only the images: other arguments have their defaults."""

        def forward(model: nn.Module, images: Any) -> Any:
            output = taken_apart(model.forward(images))
            if self._classes is None or isinstance(output, fx.Proxy):
                return output
            return logits_of(output, self._classes)

        images = self.create_proxy("placeholder", "images", (), {})
        images.known = self._batches
        return forward, [self.root, images]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, torch.jit.ScriptModule) or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        is_made_in_forward = m not in (self.submodule_paths or {})
        if self._is_doing or is_made_in_forward:  # one with weights would draw them, which is refused
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: Any) -> Any:
        return attr_val if self._is_doing else super().getattr(attr, attr_val, parameter_proxy_cache)

    def create_arg(self, a: Any) -> Any:
        return a.node if isinstance(a, fx.Proxy) else super().create_arg(a)

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        node.meta[HAS_GRADIENT] = torch.is_grad_enabled()
        return node

    def proxy(self, node: fx.Node) -> KnownProxy:
        return KnownProxy(node, self)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *more: Any, **options: Any) -> Any:
        if kind == "call_method" and isinstance(args[0], KnownProxy):
            known = answer(args[0], target, args[1:], kwargs)
            if known is not NotImplemented:
                return known
        proxy = super().create_proxy(kind, target, args, kwargs, *more, **options)
        if isinstance(proxy, KnownProxy) and kind != "placeholder":
            proxy.known = self._known(kind, target, args, kwargs)
        return proxy

    def _known(self, kind: str, target: Any, args: Any, kwargs: Any) -> tuple[Any, ...] | None:
        """Execute an operation on both batches; None if it raises, or an earlier one did."""
        try:
            values = [(in_batch(args, number), in_batch(kwargs, number)) for number in range(len(self._batches))]
            device = self._batches[0].device
            self._is_doing = True
            with torch.no_grad(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                return tuple(self._do(kind, target, *of_batch) for of_batch in values)
        except Exception:  # the trial of the graph reports the error
            return None
        finally:
            self._is_doing = False

    def _do(self, kind: str, target: Any, args: Any, kwargs: Any) -> Any:
        if kind == "get_attr":
            found: Any = self.root
            for name in target.split("."):
                found = getattr(found, name)
            return found
        if kind == "call_module":
            module = self.root.get_submodule(target)
            attributes = Attributes(module)
            try:
                return module(*args, **kwargs)
            finally:
                attributes.put_back()
        if kind == "call_method":
            return getattr(args[0], target)(*args[1:], **kwargs)
        return target(*args, **kwargs)


def trace(model: nn.Module, example: Tensor, classes: int | None = None) -> fx.Graph:
    """Return the graph of a model's forward pass in the mode, training or evaluation, that it is in.

    Args:
        example: (2, C, H, W) images.
        classes: number of logits to find in the output; None takes the output unchanged.

    Raises:
        FusionError: its Python code depends on tensor values, or cannot be recorded for another reason.
    """
    if model._forward_hooks or model._forward_pre_hooks:
        raise FusionError("its forward cannot be traced: it has hooks")
    before, attributes = _random_states(), Attributes(model)
    graph, set_by_forward = _trace(model, example, classes, attributes)
    if set_by_forward:  # missing in the graph, which is correct if forward sets it before reading it
        attributes.forget()
        try:
            graph, _ = _trace(model, example, classes, attributes)
        except FusionError as error:
            reason = f"its forward cannot be traced: it sets the attribute '{set_by_forward[0]}'"
            raise FusionError(reason) from error
    if _random_states() != before:  # the drawn numbers would stay the same in every step
        raise FusionError("its forward cannot be traced: it draws random numbers in Python code")
    _tidy(graph)
    return graph


def _trace(
    model: nn.Module, example: Tensor, classes: int | None, attributes: Attributes
) -> tuple[fx.Graph, Sequence[str]]:
    """Return the graph, and the names of the attributes that forward set; they are restored."""
    tracer = _Tracer((example.clone(), torch.cat([example, example[:1]])), classes)
    set_by_forward: Sequence[str] = ()
    try:
        with torch.enable_grad(), values_kept(model), functions_recorded(tracer), tensors_recognised(model):
            graph = tracer.trace(model)
    except Exception as error:  # any exception of user code with proxies
        raise FusionError(f"its forward cannot be traced: {_one_line(error)}{_place(error)}") from error
    finally:
        set_by_forward = attributes.put_back()
    return graph, set_by_forward


@contextmanager
def values_kept(model: nn.Module) -> Iterator[None]:
    """Restore parameters and buffers after this block."""
    tensors = [*model.parameters(), *model.buffers()]
    before = [tensor.detach().clone() for tensor in tensors]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)


def _tidy(graph: fx.Graph) -> None:
    """Remove unused sizes, and a mark that makes torch wrap functions in later traces."""
    for node in reversed(graph.nodes):
        node.meta.pop("is_wrapped", None)
        if node.op == "call_method" and node.target == "size" and not node.users:
            graph.erase_node(node)


def _random_states() -> tuple[Any, ...]:
    numbers = numpy.random.get_state(legacy=False)  # user code may draw from it
    return torch.default_generator.get_state().tolist(), random.getstate(), str(numbers)


def _one_line(error: BaseException) -> str:
    if isinstance(error, BatchSizeError):
        return str(error)
    if isinstance(error, fx.proxy.TraceError) and "control flow" in str(error):
        return "its Python code depends on the values of tensors"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place(error: BaseException) -> str:
    """Return the line of a user's or library's model that could not be traced."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_model_code(Path(f.filename))]
    if not frames:
        return ""
    line = linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip()
    return f", at {Path(frames[-1].filename).name}:{frames[-1].lineno}: {line}"


def _is_model_code(file: Path) -> bool:
    """True for the code of a model, the user's or a library's."""
    is_ours = file.is_relative_to(_PACKAGE) and file.parent.name != "models"
    return not is_ours and not file.is_relative_to(_FRAMEWORK) and file.name != "logits.py"
