"""torch's own optimizers from a run's hyperparameters."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from cnnsweep.types import Hyperparameters

Stock = TypeVar("Stock", bound=Optimizer)
# Those of its methods that we call, directly or through its constructor.
_METHODS = ("add_param_group", "state_dict", "load_state_dict", "step")


def build_optimizer(hyperparameters: Hyperparameters, parameters: Iterable[Tensor], device: torch.device) -> Optimizer:
    """Return the stock optimizer of one run, in its fastest form on this device."""
    h = hyperparameters
    fused = device.type in ("cpu", "cuda")  # one kernel over all parameters
    if h.optimizer == "sgd":
        sgd: type[SGD] = _without_compiler(SGD)
        return sgd(
            parameters,
            lr=h.lr,
            momentum=h.momentum or 0.0,
            nesterov=bool(h.nesterov),
            weight_decay=h.weight_decay,
            fused=fused,
        )
    assert h.eps is not None
    if h.optimizer == "rmsprop":
        rmsprop: type[RMSprop] = _without_compiler(RMSprop)
        return rmsprop(
            parameters, lr=h.lr, momentum=h.momentum or 0.0, eps=h.eps, weight_decay=h.weight_decay, foreach=True
        )
    assert h.beta1 is not None
    assert h.beta2 is not None
    adam: type[Adam] = _without_compiler({"adam": Adam, "adamw": AdamW}[h.optimizer])
    return adam(parameters, lr=h.lr, betas=(h.beta1, h.beta2), eps=h.eps, weight_decay=h.weight_decay, fused=fused)


@functools.cache
def _without_compiler(kind: type[Stock]) -> type[Stock]:
    """Return an optimizer's class whose methods do not ask torch's compiler to keep out of them.

    That request imports the whole compiler, which takes longer than everything else that a sweep does before its first
    step. Nothing is compiled here, so the wrappers that make it do nothing else; a method that a version of torch does
    not wrap stays what it is.
    """
    own: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in _METHODS}
    own["step"] = torch.no_grad()(own["step"])  # what the wrapper of this one does beside
    return cast(type[Stock], type(kind.__name__, (kind,), own))
