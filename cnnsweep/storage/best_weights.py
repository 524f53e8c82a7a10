"""`best.safetensors`: a run's best weights, for use.

Its header holds a model card (model, data, metrics), so the file can be copied anywhere;
`best.json` repeats it for people. The weights are the plain model's, whether the run trained alone or fused.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from cnnsweep.errors import CheckpointError, CheckpointSizeError
from cnnsweep.storage.atomic_files import replace_files, to_json
from cnnsweep.storage.free_memory import free_memory_bytes, gigabytes
from cnnsweep.storage.paths import RunPaths
from cnnsweep.storage.safetensors_files import header_text, read_safetensors

VERSION = 1
_DESCRIPTION = "cnnsweep"  # the key in the safetensors header
_COPIES = 3  # of the weights in memory at once: as read, in the model, and on their way between devices


@dataclass(frozen=True, slots=True)
class BestCheckpoint:
    """A run's best weights with everything that is needed to use them.

    `description` holds, as plain JSON values: run, run_id, epoch, metrics of that epoch, model, image_shape, classes,
    pixels (mean, std), dataset, split, precision, the version of cnnsweep, and the digest of the weights; `weights`,
    ema or swa, where they are an average.
    """

    description: Mapping[str, Any]
    weights: Mapping[str, Tensor]


def save_best(paths: RunPaths, weights: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Replace `best.safetensors` and `best.json`.

    Args:
        weights: as `last_checkpoint.on_cpu` returns them.

    Raises:
        FolderError: they cannot be written.
    """
    whole = {"version": VERSION, **description, "weights_sha256": weights_digest(weights)}
    content = save_safetensors(dict(weights), {_DESCRIPTION: to_json(whole)})
    replace_files({paths.best_weights: content, paths.best_description: describe_best(whole)})


def describe_best(description: Mapping[str, Any]) -> str:
    """Return the text of `best.json`."""
    return to_json(description, indent=2) + "\n"


def load_best(path: Path) -> BestCheckpoint:
    """Read `best.safetensors`, once and whole; see `known_weights` for what a journal says of it.

    Raises:
        CheckpointError: it is missing, damaged, too large for memory, or was not written by cnnsweep.
    """
    content = _read(path)
    description = _describe(path, content)
    try:
        weights = load_safetensors(content)
        found = weights_digest(weights)
    except (SafetensorError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path}: is damaged ({error})") from error
    if found != description["weights_sha256"]:
        raise CheckpointError(f"{path}: is damaged (the SHA-256 of its weights does not match); train the run again")
    return BestCheckpoint(description, weights)


def read_description(path: Path) -> Mapping[str, Any]:
    """Read the model card of a `best.safetensors`; its weights are not read.

    Raises:
        CheckpointError: it is damaged, or was not written by cnnsweep.
    """
    return _describe(path, _read(path))


def _read(path: Path) -> bytes:
    free = free_memory_bytes()
    try:
        return read_safetensors(path, free // _COPIES)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
        raise CheckpointSizeError(
            f"{path}: {error.strerror}, which are {_COPIES} times in memory while they are read; "
            f"{gigabytes(free)} are free"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{path}: is no safetensors file, or damaged ({error})") from error


def _describe(path: Path, content: bytes) -> Mapping[str, Any]:
    try:
        text = header_text(content, _DESCRIPTION)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is no safetensors file, or damaged ({error})") from error
    if text is None:
        raise CheckpointError(f"{path}: was not written by cnnsweep; give a run's best.safetensors or its folder")
    try:
        description = json.loads(text)
        version = description["version"]
        missing = _REQUIRED - description.keys()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: is damaged (its description cannot be read)") from error
    if version != VERSION:
        raise CheckpointError(
            f"{path}: version {str(version)[:20]} of a checkpoint; this cnnsweep reads {VERSION}: upgrade it"
        )
    if missing:
        raise CheckpointError(f"{path}: is damaged (its description lacks {', '.join(sorted(missing))})")
    return dict(description)


_REQUIRED = {"run", "epoch", "model", "image_shape", "classes", "pixels", "dataset", "split", "weights_sha256"}


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over names, types, shapes and values, in the order of the names."""
    sha = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return sha.hexdigest()
