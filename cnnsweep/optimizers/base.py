"""Contract of optimizers: a class whose fields are the keys of the sweep file, and that builds a torch optimizer.

    class Lion(Optimizer, name="lion"):
        \"\"\"Lion (Chen et al., arXiv:2302.06675).\"\"\"

        beta1: float = 0.9
        beta2: float = 0.99

        def build(self, parameters, lr, device):
            return LionOptimizer(parameters, lr=lr, betas=(self.beta1, self.beta2), weight_decay=self.weight_decay)

The keys `momentum`, `nesterov`, `beta1`, `beta2`, `eps` and `weight_decay` of `params` go to every optimizer that has a
field of that name; other fields are arguments, as in `optimizer: {name: lion, cautious: true}`.

In a sweep file, a class of `torch.optim.Optimizer`, or a function that returns one, will do too: `my.py:Lion`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, cast

from pydantic import ConfigDict

from cnnsweep.field_types import Number, YesNo
from cnnsweep.optimizers.own import LR, NEEDS_CLOSURE, built_by, check_class, checked_arguments
from cnnsweep.registry import Component, Registry
from cnnsweep.signatures import component_of
from cnnsweep.types import Choice, Hyperparameters

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Share = Annotated[float, Number(least=0, below=1)]
Positive = Annotated[float, Number(above=0)]
Decay = Annotated[float, Number(least=0)]
Flag = Annotated[bool, YesNo()]

FLAT = ("momentum", "nesterov", "beta1", "beta2", "eps", "weight_decay")  # fields that are keys of `params`
REFUSED_OPTIMIZERS = {  # of torch, by their names in lower case
    "lbfgs": f"which {NEEDS_CLOSURE}",
    "sparseadam": "which is for sparse gradients; those of a CNN are dense: use adam",
}
# Methods of torch's optimizers that are called here, directly or through the constructor.
_METHODS = ("add_param_group", "state_dict", "load_state_dict", "step")


class Optimizer(Component):
    """Base of optimizers.

    Attributes:
        state_copies: maximum number of state tensors of the weights' size; for the disk estimate.
        counts_steps: its state holds the number of steps, as `step`; a fused step needs equal numbers.
    """

    state_copies: ClassVar[int] = 2
    counts_steps: ClassVar[bool] = False
    weight_decay: Decay = 0.0

    def build(self, parameters: Iterable[Tensor], lr: float, device: torch.device) -> torch.optim.Optimizer:
        """Return the torch optimizer of one run, in its fastest form on the device."""
        raise NotImplementedError

    @property
    def fused_state(self) -> tuple[str, ...] | None:
        """Names of the state tensors that `fused_step` changes; None without a fused step."""
        return None

    def fused_step(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        state: Mapping[str, list[Tensor]],
        step: Tensor | None,
        lr: float,
    ) -> None:
        """Update all parameters by one kernel, with the same bits as the torch optimizer.

        Called only if the torch optimizer was built with `fused=True`, and every parameter has a gradient and state.

        Args:
            state: the tensors of `fused_state`, by name.
            step: the number of previous steps, equal for all parameters; incremented here.
        """
        raise NotImplementedError

    def before_step(self, state: Mapping[Tensor, Any], parameters: Sequence[Tensor]) -> None:
        """Prepare the torch optimizer's state for its own step.

        Args:
            state: state of the torch optimizer, by parameter.
            parameters: the parameters with a gradient.
        """


class OwnOptimizer(Optimizer):
    """Base of a user's own optimizers, whose fields are the arguments of a class of torch or of a function.

    Attributes:
        make: the class or function.
    """

    model_config = ConfigDict(protected_namespaces=())
    make: ClassVar[Callable[..., Any]]
    weight_decay: ClassVar[float]  # type: ignore[misc] # a field where the arguments have it

    def build(self, parameters: Iterable[Tensor], lr: float, device: torch.device) -> torch.optim.Optimizer:
        """Return the user's optimizer, with the arguments that the sweep file has."""
        del device
        given = self.model_dump(exclude_unset=True)
        built: torch.optim.Optimizer = built_by(type(self).make, list(parameters), lr, given)
        return built


class _OpenOptimizer(OwnOptimizer):
    """Base where a class or function takes keyword arguments of any name."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


@functools.cache
def _of_function(make: Callable[..., Any], reference: str) -> type[Optimizer]:
    arguments = checked_arguments(make, reference)
    base = _OpenOptimizer if arguments.takes_any else OwnOptimizer
    made: type[OwnOptimizer] = component_of(make, arguments, base, (LR, "make"))
    made.make = staticmethod(make)
    return made


def _of_code(value: Any, reference: str) -> type[Optimizer] | None:
    if isinstance(value, type):
        check_class(value, reference)
    return _of_function(value, reference) if isinstance(value, type | FunctionType) else None


OPTIMIZERS = Registry(
    "optimizer",
    "optimizers",
    Optimizer,
    _of_code,
    leading=1,
    constructor=1,
    given=(LR,),
    others="a function, a torch.optim.Optimizer",
)


def make_optimizer(h: Hyperparameters) -> Optimizer:
    """Return the optimizer of a run, from its hyperparameters.

    Raises:
        UsageError: it is unknown or does not take its arguments.
    """
    kind = OPTIMIZERS.get(h.optimizer)
    used = FLAT if kind.model_config.get("extra") == "allow" else [key for key in FLAT if key in kind.model_fields]
    flat = {key: getattr(h, key) for key in used if getattr(h, key) is not None}
    return OPTIMIZERS.make(Choice(h.optimizer, h.optimizer_arguments, h.optimizer_code), **flat)


Stock = TypeVar("Stock", bound="torch.optim.Optimizer")


@functools.cache
def without_compiler(kind: type[Stock]) -> type[Stock]:
    """Return a torch optimizer's class whose methods are not wrapped against torch's compiler.

    The wrapper imports the whole compiler, which takes longer than everything else before the first step of a sweep.
    Nothing is compiled here, so the wrappers have no other effect; a method that a version of torch does not wrap stays
    as it is.
    """
    import torch

    own: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in _METHODS}
    own["step"] = torch.no_grad()(own["step"])  # which that wrapper does as well
    return cast(type[Stock], type(kind.__name__, (kind,), own))


def has_kernel(device: torch.device) -> bool:
    """True for devices on which torch's fused optimizers run: one kernel over all parameters."""
    return device.type in ("cpu", "cuda")
