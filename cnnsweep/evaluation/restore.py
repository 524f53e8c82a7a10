"""Restores the model of a best checkpoint; it is built only if the file has all of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from cnnsweep.errors import CheckpointError, CnnSweepError
from cnnsweep.evaluation.model_card import Description
from cnnsweep.models.base import MODELS
from cnnsweep.models.build import build_model
from cnnsweep.models.meta_model import build_meta_model

_FEWEST_PARTS, _PARTS_A_TENSOR = 1000, 20  # modules, parameters, buffers; up to 4 per tensor in torchvision
# Allowed types of stored tensors: a model trained in double precision is used in single.
_STORED_AS = {
    torch.float32: (torch.float32, torch.float64, torch.float16, torch.bfloat16),
    torch.int64: (torch.int64,),
}


def restore_model(path: Path, weights: Mapping[str, Tensor], about: Description) -> nn.Module:
    """Return the model of a checkpoint with its weights, on the CPU.

    Args:
        path: the file, for messages.
        about: its model card, see `model_card.describe`.

    Raises:
        CheckpointError: the weights do not fit the description.
    """
    try:
        if MODELS.is_built_in(about.model.name):  # other code is trusted, and may not support the meta device
            most_parts = max(_FEWEST_PARTS, _PARTS_A_TENSOR * len(weights))
            meta_model = build_meta_model(about.model, about.image_shape, len(about.classes), most_parts)
            _check_fit(path, about.model.name, weights, meta_model)
        model = build_model(about.model, about.image_shape, len(about.classes), seed=0)
    except CheckpointError:
        raise
    except CnnSweepError as error:
        raise CheckpointError(f"{path}: its model cannot be built ({error})") from error
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise _misfit(path, about.model.name, " ".join(str(error).split())) from error
    return model


def _check_fit(path: Path, name: str, stored: Mapping[str, Tensor], meta_model: Mapping[str, Tensor]) -> None:
    """Compare a file's tensors with those of its model, before the model is built."""
    for tensor_name, tensor in meta_model.items():
        if tensor_name not in stored:
            raise _misfit(path, name, f"{tensor_name} is missing")
        found = stored[tensor_name]
        if found.dtype not in _STORED_AS.get(tensor.dtype, ()) or found.shape != tensor.shape:
            raise _misfit(path, name, f"{tensor_name} is {_form(found)}, but must be {_form(tensor)}")
    if unknown := [tensor_name for tensor_name in stored if tensor_name not in meta_model]:
        raise _misfit(path, name, f"it has no {unknown[0][:100]}")


def _form(tensor: Tensor) -> str:
    return f"{tensor.dtype} of {tuple(tensor.shape)}"


def _misfit(path: Path, name: str, reason: str) -> CheckpointError:
    return CheckpointError(f"{path}: its weights no longer fit the model {name} ({reason})")
