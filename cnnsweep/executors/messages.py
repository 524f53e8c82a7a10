"""Messages between parent and workers, and their encoding.

A worker waits for the answer to `EpochEnded` and `Resumed`, and continues after all other messages. Both ends are
cnnsweep, started by one user, so the bytes are a pickle.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.types import Decision, EpochReport, RunGroup, RunOutcome


@dataclass(frozen=True, slots=True)
class Train:
    """To a worker: train a group.

    Attributes:
        checkpoints: by run id, for the runs that resume.
        progress_every_s: minimum time between two reports of batches.
    """

    group: RunGroup
    checkpoints: Mapping[str, LastCheckpoint]
    progress_every_s: float


@dataclass(frozen=True, slots=True)
class Call:
    """To a worker: see `Executor.call`."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Decisions:
    """To a worker: the answer to `EpochEnded` or `Resumed`."""

    by_run: Mapping[str, Decision]


@dataclass(frozen=True, slots=True)
class Shutdown:
    """To a worker: exit, no work is left."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Sent by a worker that can train. `name` is its name and location in words."""

    name: str


@dataclass(frozen=True, slots=True)
class StartupFailed:
    """Sent by a worker that cannot train, with the reason; it exits."""

    cause: str


@dataclass(frozen=True, slots=True)
class BatchesDone:
    """Sent by a worker, like the following messages; see the method of `TrainerCallback`."""

    run_ids: tuple[str, ...]
    epoch: int
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """Sent by a worker, which then waits for `Decisions`."""

    reports: tuple[EpochReport, ...]


@dataclass(frozen=True, slots=True)
class Resumed:
    """Sent by a worker, which then waits for `Decisions`."""

    run_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunEnded:
    """See `TrainerCallback.on_run_end`."""

    outcome: RunOutcome


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that was printed on the worker's side."""

    text: str


@dataclass(frozen=True, slots=True)
class GroupEnded:
    """The worker waits for another group."""


@dataclass(frozen=True, slots=True)
class GroupFailed:
    """The same, after the group could not continue together: see `GroupError`."""

    cause: str
    remaining: RunGroup
    is_memory: bool


@dataclass(frozen=True, slots=True)
class Returned:
    """Return value of a `Call`."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """Exception of a `Call`."""

    error: Exception


ToWorker = Train | Call | Decisions | Shutdown
FromWorker = (
    Ready
    | StartupFailed
    | BatchesDone
    | EpochEnded
    | Resumed
    | RunEnded
    | LogLine
    | GroupEnded
    | GroupFailed
    | Returned
    | Raised
)


def pack(message: object) -> bytes:
    """Return a message as bytes. Tensors are copied from any device, and keep their memory order.

    Sums depend on that order in their last bits, and results must not depend on the worker.
    """
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(message)
    return buffer.getvalue()


def unpack(content: bytes) -> Any:
    """Return the message; its tensors are on the CPU."""
    return pickle.loads(content)


class _Pickler(pickle.Pickler):
    """Torch's own pickling would include a whole storage with each view, and be slower."""

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return NotImplemented
        copy = value.detach().to("cpu", copy=True)  # dense, with the strides of the original if that was dense
        flat = copy.as_strided((copy.numel(),), (1,))
        return _tensor, (flat.view(torch.uint8).numpy(), copy.dtype, tuple(copy.shape), copy.stride())


def _tensor(flat: Any, dtype: torch.dtype, shape: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(flat).view(dtype).as_strided(shape, stride)
