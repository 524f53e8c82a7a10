"""From a best checkpoint to its model, which is built only where the file has all of its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from cnnsweep.data.memory import free_memory_bytes, gigabytes
from cnnsweep.descriptions import Description
from cnnsweep.errors import CheckpointError, CnnSweepError
from cnnsweep.models.outline import outline_model
from cnnsweep.models.registry import build_model
from cnnsweep.recording.checkpoints import load_best
from cnnsweep.user_code import is_reference

_COPIES = 3  # of the weights in memory at once: as read, in the model, and on their way between devices
_FEWEST_PARTS, _PARTS_A_TENSOR = 1000, 20  # modules, parameters and buffers; torchvision's have up to 4 a tensor
# What the tensors of a model may be stored as: one that was trained in double precision is used in single.
_STORED_AS = {torch.float32: ("F32", "F64", "F16", "BF16"), torch.int64: ("I64",)}

_Shapes = Mapping[str, tuple[str, tuple[int, ...]]]  # of each tensor: its type, as safetensors calls it, and its shape


def restore_model(path: Path, about: Description) -> nn.Module:
    """Return the model of a checkpoint with its weights, on the CPU.

    Args:
        about: what the file says of itself; see `descriptions.describe`.

    Raises:
        CheckpointError: the file is damaged, does not fit its own description, or into memory.
    """
    stored = _stored_shapes(path)
    _refuse_too_large(path)
    try:
        if not is_reference(about.model.name):  # a person's own code is trusted, and need not run without memory
            most_parts = max(_FEWEST_PARTS, _PARTS_A_TENSOR * len(stored))
            outline = outline_model(about.model, about.image_shape, len(about.classes), most_parts)
            _check_fit(path, about.model.name, stored, outline)
        weights = load_best(path).weights
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


def _stored_shapes(path: Path) -> _Shapes:
    try:
        with safe_open(path, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            return {name: (one.get_dtype(), tuple(one.get_shape())) for name, one in slices.items()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: is damaged ({error})") from error


def _refuse_too_large(path: Path) -> None:
    size, free = path.stat().st_size, free_memory_bytes()
    if _COPIES * size > free:
        raise CheckpointError(
            f"{path}: has {gigabytes(size)} of weights, which are {_COPIES} times in memory while they are read; "
            f"{gigabytes(free)} are free"
        )


def _check_fit(path: Path, name: str, stored: _Shapes, outline: Mapping[str, Tensor]) -> None:
    """Compare a file's tensors with those that its model would have, before there is such a model."""
    for tensor_name, tensor in outline.items():
        if tensor_name not in stored:
            raise _misfit(path, name, f"{tensor_name} is missing")
        kind, shape = stored[tensor_name]
        if kind not in _STORED_AS.get(tensor.dtype, ()) or shape != tuple(tensor.shape):
            needed = f"{tensor.dtype} of {tuple(tensor.shape)}"
            raise _misfit(path, name, f"{tensor_name} is {kind} of {shape}, needed is {needed}")
    if unknown := [tensor_name for tensor_name in stored if tensor_name not in outline]:
        raise _misfit(path, name, f"it has no {unknown[0][:100]}")


def _misfit(path: Path, name: str, reason: str) -> CheckpointError:
    return CheckpointError(f"{path}: its weights do not fit the model {name} any more ({reason})")
