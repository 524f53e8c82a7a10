"""Counts what torch is asked to do: operators, and the memory that their results take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree  # nested results; torch has no public name for it
from torch.utils._python_dispatch import TorchDispatchMode  # how torch's own FLOP counter listens


class OperatorCounts(TorchDispatchMode):
    """Counts every operator that runs inside the context, in the backward pass too.

    Attributes:
        calls: by name, as torch names operators: `aten.convolution`. Views are apart, since they move no data.
        views: operators that return what they were given, seen in another way.
        allocations: results with memory of their own.
        allocated_bytes: of these.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.views: Counter[str] = Counter()
        self.allocations = 0
        self.allocated_bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        given, made = _memory_of((args, kwargs)), _memory_of(result)
        is_view = function.is_view or (made and made <= given and not function._schema.is_mutable)
        (self.views if is_view else self.calls)[str(function.overloadpacket)] += 1
        for _, size in made - given:
            self.allocations += 1
            self.allocated_bytes += size
        return result


def _memory_of(values: Any) -> set[tuple[int, int]]:
    """Return where the tensors among nested values lie, and how many bytes they have there."""
    storages = [leaf.untyped_storage() for leaf in pytree.tree_leaves(values) if isinstance(leaf, Tensor)]
    return {(storage.data_ptr(), storage.nbytes()) for storage in storages}


def counted(call: Callable[[], object]) -> OperatorCounts:
    """Return what one call does, after two that let it settle: first steps build the optimizers' state."""
    for _ in range(2):
        call()
    with OperatorCounts() as counts:
        call()
    return counts
