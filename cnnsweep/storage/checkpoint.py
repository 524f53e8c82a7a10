"""`last.safetensors`, from which a run resumes: weights, optimizer state and the epoch's record.

It is the plain model's, whether the run trained alone or fused. Safetensors holds tensors and a JSON text only, so
nothing in it can execute, and no tensor can claim more memory than the file has. Folders of earlier versions have a
`last.pt`, which is a pickle; it is still read, with torch's restricted reader.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from cnnsweep.errors import CheckpointError, FolderError
from cnnsweep.storage.free_memory import free_memory_bytes, gigabytes
from cnnsweep.storage.paths import RunPaths
from cnnsweep.storage.read_limited import read_bounded
from cnnsweep.storage.rows import record_from_row, row_from_record
from cnnsweep.storage.safetensors_files import header_text, read_safetensors
from cnnsweep.types import PLAIN, EpochRecord

VERSION = 2  # 1 was the pickle
_DESCRIPTION = "cnnsweep-last"  # the key in the safetensors header
_WEIGHTS = "weights."
_LONGEST_REASON = 200  # characters
_ZIP_OVERHEAD = 1 << 20  # bytes that a zip archive's members may be larger than the file; stored ones are smaller


@dataclass(frozen=True, slots=True)
class LastCheckpoint:
    """Resume point of a run: the epoch of `record`, weights and optimizer state.

    The latter has the averages of the weights, where there are any, below their names.

    Attributes:
        history: the metrics with the plain weights of all epochs up to there, from the journal; some schedules depend
            on them.
    """

    record: EpochRecord
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    history: tuple[Mapping[str, float | None], ...] = ()

    @property
    def chosen_weights(self) -> Mapping[str, Tensor]:
        """The weights that count as the run's: the plain ones, or the average that the record names."""
        if self.record.weights == PLAIN:
            return self.weights
        return {**self.weights, **self.optimizer[self.record.weights]["weights"]}


def on_cpu(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies for safetensors: on the CPU, contiguous, each with memory of its own."""
    return {
        name: weight.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, weight in weights.items()
    }


def encode_last(record: EpochRecord, weights: Mapping[str, Tensor], optimizer: Mapping[str, Any]) -> bytes:
    """Return the bytes of `last.safetensors`.

    Args:
        weights: as `on_cpu` returns them.
        optimizer: the state dict of a stock optimizer.
    """
    tensors = {_WEIGHTS + name: weight for name, weight in weights.items()}
    moved: dict[str, Tensor] = {}
    state = _take_tensors(optimizer, moved, len(tensors))
    tensors |= on_cpu(moved)
    about = {"version": VERSION, "record": {"run_id": record.run_id, **row_from_record(record)}, "optimizer": state}
    return save_safetensors(tensors, {_DESCRIPTION: json.dumps(about)})


def decode_optimizer(content: bytes) -> Mapping[str, Any]:
    """Return the optimizer's state dict in the bytes of `last.safetensors`."""
    state: Mapping[str, Any] = _put_tensors(
        json.loads(header_text(content, _DESCRIPTION) or "")["optimizer"], load_safetensors(content)
    )
    return state


def digest(content: bytes) -> str:
    """Return the SHA-256 of a checkpoint, as the journal records it."""
    return hashlib.sha256(content).hexdigest()


def load_last(paths: RunPaths, known: Mapping[str, int]) -> tuple[LastCheckpoint | None, dict[Path, str]]:
    """Return a run's newest intact checkpoint, or None, and the problems of damaged files.

    Args:
        known: the SHA-256 of every checkpoint that the journal knows of, and its epoch. Only such a file is opened,
            so a damaged or foreign one is never read.

    Raises:
        FolderError: one may be whole, but does not fit into the memory that is free.
    """
    whole: list[tuple[int, Path, bytes]] = []
    damaged: dict[Path, str] = {}
    for path in (paths.last_checkpoint, paths.previous_checkpoint, paths.pickled_checkpoint):
        if not os.path.lexists(path):
            continue
        try:
            content = _read(path)
        except OSError as error:
            damaged[path] = f"{path}: cannot be read ({error.strerror})"
            continue
        except ValueError:  # it does not even begin as one
            content = b""
        epoch = known.get(digest(content))
        if epoch is None:
            damaged[path] = f"{path}: is damaged (its SHA-256 is not in the journal)"
        else:
            whole.append((epoch, path, content))
    for _, path, content in sorted(whole, key=lambda found: -found[0]):
        try:
            return _decode(path, content), damaged
        except CheckpointError as error:  # the author of the file also wrote the journal
            damaged[path] = str(error)
    return None, damaged


def _read(path: Path) -> bytes:
    free = free_memory_bytes()
    try:
        return read_bounded(path, free) if path.suffix == ".pt" else read_safetensors(path, free)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        raise FolderError(
            f"{path}: {error.strerror}, which have to be in memory for the run to resume, and {gigabytes(free)} are "
            "free; close other programs, or move the file away to have the run start over"
        ) from error


def _decode(path: Path, content: bytes) -> LastCheckpoint:
    """Read a checkpoint's bytes.

    Raises:
        CheckpointError: they are no checkpoint.
    """
    try:
        if path.suffix == ".pt":
            return _decode_pickled(content)
        tensors = load_safetensors(content)
        about = json.loads(header_text(content, _DESCRIPTION) or "")
        if about["version"] > VERSION:
            raise ValueError(f"version {about['version']}, this cnnsweep reads up to {VERSION}: upgrade it")
        weights = {n.removeprefix(_WEIGHTS): t for n, t in tensors.items() if n.startswith(_WEIGHTS)}
        return LastCheckpoint(_record(about["record"]), weights, _put_tensors(about["optimizer"], tensors))
    except Exception as error:  # a reader may raise anything for bytes that are no checkpoint
        # Torch's own message advises to load the file in a way that runs the code in it.
        is_refused = isinstance(error, UnpicklingError) or "weights_only" in str(error)
        reason = "it holds more than numbers and texts, or is cut short" if is_refused else str(error)
        raise CheckpointError(f"{path}: cannot be read ({type(error).__name__}: {reason[:_LONGEST_REASON]})") from error


def _decode_pickled(content: bytes) -> LastCheckpoint:
    # torch stores, it never compresses: an archive whose members are larger than itself is a bomb.
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(member.file_size for member in archive.infolist()) > len(content) + _ZIP_OVERHEAD:
            raise ValueError("its members are larger than the file")
    fields = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    tensors: dict[str, Tensor] = {}
    _take_tensors([fields["weights"], fields["optimizer"]], tensors)
    _refuse_hollow(tensors.values())
    return LastCheckpoint(_record(fields["record"]), fields["weights"], fields["optimizer"])


def _record(fields: Mapping[str, Any]) -> EpochRecord:
    return record_from_row(fields["run_id"], {"divergence": None, **fields})  # early checkpoints have no divergence


def _refuse_hollow(tensors: Iterable[Tensor]) -> None:
    """Refuse tensors that repeat their memory by a stride of 0: a file of 1 KB may hold one of 10¹² elements."""
    if any(tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes() for tensor in tensors):
        raise ValueError("a tensor is larger than its memory")


def _take_tensors(container: Any, tensors: dict[str, Tensor], first: int = 0) -> Any:
    """Move the tensors of nested dicts, lists and tuples into `tensors`; return the rest as JSON has it.

    Args:
        first: the number of the first tensor, which is its name.
    """
    is_mapping = isinstance(container, Mapping)
    kept: list[Any] = []
    # One call a container, none a value: an optimizer's state has thousands.
    for value in container.values() if is_mapping else container:
        if isinstance(value, Tensor):
            name = f"optimizer.{first + len(tensors)}"
            tensors[name] = value
            kept.append({"tensor": name})
        elif isinstance(value, Mapping | tuple | list):
            kept.append(_take_tensors(value, tensors, first))
        elif isinstance(value, torch.dtype):
            kept.append({"dtype": str(value).removeprefix("torch.")})
        else:
            kept.append(value)
    if is_mapping:  # pairs, since an optimizer's keys are numbers
        return {"dict": list(map(list, zip(container, kept, strict=True)))}
    return {"tuple": kept} if isinstance(container, tuple) else kept


def _put_tensors(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Undo `_take_tensors`."""
    if isinstance(value, list):
        return [_put_tensors(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "dtype":
        return getattr(torch, inner)
    if kind == "tuple":
        return tuple(_put_tensors(v, tensors) for v in inner)
    return {tuple(key) if isinstance(key, list) else key: _put_tensors(v, tensors) for key, v in inner}
