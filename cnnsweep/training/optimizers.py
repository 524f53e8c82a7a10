"""torch's optimizers from a run's hyperparameters."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from cnnsweep.records import Hyperparameters


def build_optimizer(
    hyperparameters: Hyperparameters, parameters: Iterable[nn.Parameter], device: torch.device
) -> Optimizer:
    """Return the stock optimizer of one run, in its fastest form on this device."""
    h = hyperparameters
    fused = device.type in ("cpu", "cuda")  # one kernel over all parameters
    if h.optimizer == "sgd":
        return SGD(
            parameters,
            lr=h.lr,
            momentum=h.momentum or 0.0,
            nesterov=bool(h.nesterov),
            weight_decay=h.weight_decay,
            fused=fused,
        )
    assert h.eps is not None
    if h.optimizer == "rmsprop":
        return RMSprop(
            parameters, lr=h.lr, momentum=h.momentum or 0.0, eps=h.eps, weight_decay=h.weight_decay, foreach=True
        )
    assert h.beta1 is not None
    assert h.beta2 is not None
    kind: type[Adam] = {"adam": Adam, "adamw": AdamW}[h.optimizer]
    return kind(parameters, lr=h.lr, betas=(h.beta1, h.beta2), eps=h.eps, weight_decay=h.weight_decay, fused=fused)
