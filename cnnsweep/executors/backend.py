"""The contract of workers, wherever they are: how they are made, and how messages reach them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cnnsweep.executors.messages import FromWorker, ToWorker
from cnnsweep.planning.scheduling import Place


@dataclass(frozen=True, slots=True)
class Lost:
    """Sent by the worker pool in place of a message: the worker is gone, for this reason."""

    cause: str


class Worker(Protocol):
    """One that trains a group at a time; compared by identity."""

    @property
    def place(self) -> Place: ...

    @property
    def name(self) -> str:
        """Name and place in words, before the worker has sent its own."""
        ...


class Fleet(Protocol):
    """Starts workers and exchanges messages with them; called from one thread."""

    @property
    def places(self) -> int:
        """For how many workers there is a place, as far as is known now."""
        ...

    def hire(self) -> Worker | None:
        """Start a worker, without waiting for it; None while there is no place for a further one.

        Raises:
            ExecutionError: none can be started.
        """

    def send(self, worker: Worker, message: ToWorker) -> None:
        """Send a message; if the worker is gone, `wait` says so."""

    def wait(self, seconds: float) -> Sequence[tuple[Worker, FromWorker | Lost]]:
        """Wait for messages, no longer than so; return what has come, of each worker in order."""

    def dismiss(self, worker: Worker) -> None:
        """End a worker at once; nothing more comes from it. Its place is free."""

    def close(self) -> None:
        """End all workers at once, and give back what they shared."""
