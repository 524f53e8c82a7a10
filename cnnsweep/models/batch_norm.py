"""Batch-norm layers that stay in evaluation mode while a model trains."""

from __future__ import annotations

from types import MethodType

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # the base of all of them; torch has no public name for it


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the batch-norm layers of a model."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def freeze_batch_norm(model: nn.Module) -> None:
    """Keep the batch-norm layers in evaluation mode: `train()` of the model no longer changes them.

    Their running mean and variance stay as they are and normalise in training too; scale and shift are still trained.
    """
    for layer in batch_norms(model):
        layer.eval()
        layer.train = MethodType(_stay, layer)  # type: ignore[method-assign]


def forget_statistics(model: nn.Module) -> bool:
    """Prepare batch-norm layers to estimate mean and variance anew, as the mean over batches; False without any.

    Frozen layers keep theirs.
    """
    model.train()
    layers = [layer for layer in batch_norms(model) if layer.training and layer.track_running_stats]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a mean over all batches
    return bool(layers)


def _stay(layer: nn.Module, mode: bool = True) -> nn.Module:
    del mode
    return layer
