"""The contract of workers, on any machine: starting them, and exchanging messages with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cnnsweep.executors.messages import FromWorker, ToWorker
from cnnsweep.planning.scheduling import Slot


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """Replaces a message if a worker has died, with the reason."""

    cause: str


class Worker(Protocol):
    """A worker, which trains a group at a time; compared by identity."""

    @property
    def place(self) -> Slot: ...

    @property
    def name(self) -> str:
        """Name and location, until the worker has sent its own."""
        ...


class Workers(Protocol):
    """Starts workers and exchanges messages with them; called from one thread."""

    @property
    def slots(self) -> int:
        """The number of workers that currently have room, as far as known."""
        ...

    def start(self) -> Worker | None:
        """Start a worker without waiting for it; None while there is no room for another one.

        Raises:
            ExecutionError: none can be started.
        """

    def send(self, worker: Worker, message: ToWorker) -> None:
        """Send a message; if the worker is gone, `wait` reports it."""

    def wait(self, seconds: float) -> Sequence[tuple[Worker, FromWorker | WorkerDied]]:
        """Wait for messages, at most `seconds`; return those of each worker in order."""

    def stop(self, worker: Worker) -> None:
        """Stop a worker at once; it sends nothing more, and its slot is free."""

    def close(self) -> None:
        """Stop all workers at once, and release their shared memory."""
