"""Worker loop: trains the groups that it receives, and reports to the parent."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch

from cnnsweep.errors import CnnSweepError
from cnnsweep.executors.base import TASK
from cnnsweep.executors.messages import (
    BatchesDone,
    Call,
    Decisions,
    EpochEnded,
    FromWorker,
    GroupEnded,
    GroupFailed,
    Raised,
    Resumed,
    Returned,
    RunEnded,
    Shutdown,
    ToWorker,
    Train,
)
from cnnsweep.training.data_module import DataModule
from cnnsweep.training.failures import one_line
from cnnsweep.training.trainer import GroupError, train_group
from cnnsweep.types import Decision, EpochReport, RunOutcome


class Disconnected(BaseException):
    """The parent is gone. Not an `Exception`: it must pass the code that turns a model's errors into failed runs."""


class Channel(Protocol):
    """A worker's connection to its parent. Both methods raise Disconnected when the parent is gone."""

    def send(self, message: FromWorker) -> None:
        """Send a message, in order."""

    def receive(self) -> ToWorker:
        """Wait for the next message."""
        ...


def serve(channel: Channel, task: DataModule) -> None:
    """Train groups until `Shutdown`.

    Raises:
        Disconnected: the parent is gone.
    """
    while True:
        order = channel.receive()
        if isinstance(order, Shutdown):
            return
        if isinstance(order, Call):
            channel.send(_call(order, task))
            continue
        assert isinstance(order, Train)
        channel.send(_train(order, task, channel))


def _call(order: Call, task: DataModule) -> Returned | Raised:
    try:
        arguments = (task if argument is TASK else argument for argument in order.arguments)
        return Returned(order.function(*arguments))
    except Exception as error:
        # An error class of a library may not survive a pickle.
        is_ours = isinstance(error, CnnSweepError | torch.OutOfMemoryError | MemoryError)
        return Raised(error if is_ours else RuntimeError(one_line(error)))


def _train(order: Train, task: DataModule, channel: Channel) -> GroupEnded | GroupFailed:
    try:
        train_group(order.group, task, _Reporting(channel, order.progress_every_s), order.checkpoints)
    except GroupError as error:
        failed = GroupFailed(str(error), error.remaining, error.is_memory)
    else:
        return GroupEnded()
    # Outside `except`: the traceback references the group's memory.
    if task.device.type == "cuda":
        torch.cuda.empty_cache()
    return failed


class _Reporting:
    """The `TrainerCallback` of a worker: forwards everything, and gets decisions from the parent."""

    def __init__(self, channel: Channel, progress_every_s: float) -> None:
        self._channel = channel
        self._every_s = progress_every_s
        self._next = 0.0
        self._lock = threading.Lock()  # learners in parallel report their batches from their own threads

    def on_batch_end(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        with self._lock:
            if now >= self._next:
                self._next = now + self._every_s
                self._channel.send(BatchesDone(tuple(run_ids), epoch, done, total))

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
        return self._ask(EpochEnded(tuple(reports)))

    def on_resume(self, run_ids: Sequence[str]) -> Mapping[str, Decision]:
        return self._ask(Resumed(tuple(run_ids)))

    def on_run_end(self, outcome: RunOutcome) -> None:
        self._channel.send(RunEnded(outcome))

    def _ask(self, question: EpochEnded | Resumed) -> Mapping[str, Decision]:
        self._channel.send(question)
        answer = self._channel.receive()
        assert isinstance(answer, Decisions)
        return answer.by_run
