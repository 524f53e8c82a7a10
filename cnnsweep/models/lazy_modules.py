"""Initialisation of lazy modules: two empty images give their parameters shapes."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import is_lazy

from cnnsweep.errors import ModelError


def give_shapes(model: nn.Module, name: str, image_shape: tuple[int, int, int]) -> None:
    """Pass two empty images through a model with lazy modules; its other state stays unchanged.

    This draws initial weights, so the caller seeds torch's generator.

    Args:
        name: of the model, for messages.
        image_shape: (C, H, W) of the images.

    Raises:
        ModelError: no forward pass uses a lazy module, so that its shapes are unknown.
        Exception: any that `forward` raises.
    """
    if not _lazy_names(model):
        return
    was_training = model.training
    # In evaluation first, which keeps statistics of batch normalisation; some branches exist only in training.
    for mode in (False, True):
        if _lazy_names(model):
            _send_images(model.train(mode), image_shape)
    model.train(was_training)
    if left := _lazy_names(model):
        raise ModelError(
            f"model {name}: its lazy '{left[0]}' got no shape, since no forward pass uses it; remove it, or take the "
            "module that is not lazy"
        )


def _lazy_names(model: nn.Module) -> list[str]:
    named = [*model.named_parameters(), *model.named_buffers()]
    return [tensor_name for tensor_name, tensor in named if is_lazy(tensor)]


@torch.no_grad()
def _send_images(model: nn.Module, image_shape: tuple[int, int, int]) -> None:
    lazy_norms = [module for module in model.modules() if isinstance(module, _NormBase) and _lazy_names(module)]
    before = {name: buffer.clone() for name, buffer in model.named_buffers() if not is_lazy(buffer)}
    model(torch.zeros(2, *image_shape))
    for module in [module for module in lazy_norms if not _lazy_names(module)]:
        module.reset_running_stats()
    for name, buffer in model.named_buffers():
        if name in before:
            buffer.copy_(before[name])
