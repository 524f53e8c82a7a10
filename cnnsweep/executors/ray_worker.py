"""A worker on a node of a Ray cluster: the actor's thread, after the checks of the node."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any, TextIO

import ray
import torch

from cnnsweep.executors.messages import FromWorker, LogLine, Ready, StartupFailed, ToWorker, pack, unpack
from cnnsweep.executors.ray_task import load
from cnnsweep.executors.worker import serve
from cnnsweep.training.failures import one_line
from cnnsweep.training.malloc import keep_freed_memory

_LONGEST_LINE = 2_000  # maximum characters of a line printed by the user's code


def train_for_parent(
    from_parent: SimpleQueue[bytes],
    to_parent: SimpleQueue[bytes | str | Exception],
    device: str,
    threads: int,
    objects: Sequence[Any],
) -> None:
    """Train the groups from the parent, until the actor is stopped."""
    channel = _Channel(from_parent, to_parent)
    for name in ("stdout", "stderr"):
        setattr(sys, name, _Lines(getattr(sys, name), channel))
    try:
        torch.set_num_threads(threads)  # for this thread: torch has a number of threads per thread
        keep_freed_memory()
        task = load(objects, device, threads)
        if task.device.type == "cuda":
            torch.cuda.set_device(task.device)
    except Exception as error:
        channel.send(StartupFailed(one_line(error)))
        return
    channel.send(Ready(f"Ray worker on {ray.util.get_node_ip_address()} (process {os.getpid()})"))
    serve(channel, task)


class _Channel:
    """See `Channel`. The actor ends with its parent, so the other end always exists."""

    def __init__(self, from_parent: SimpleQueue[bytes], to_parent: SimpleQueue[bytes | str | Exception]) -> None:
        self._from_parent = from_parent
        self._to_parent = to_parent

    def send(self, message: FromWorker) -> None:
        self._to_parent.put(pack(message))

    def receive(self) -> ToWorker:
        message: ToWorker = unpack(self._from_parent.get())
        return message


class _Lines:
    """A stream that also forwards complete lines to the parent."""

    def __init__(self, stream: TextIO, channel: _Channel) -> None:
        self._stream = stream
        self._channel = channel
        self._rest = ""

    def write(self, text: str) -> int:
        text = _showable(text, "utf-8")
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._channel.send(LogLine(line.rstrip()[:_LONGEST_LINE]))
        return self._stream.write(_showable(text, self._stream.encoding or "utf-8"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _showable(text: str, encoding: str) -> str:
    """Return text with characters outside an encoding as escapes: printing must not end a run."""
    return text.encode(encoding, "backslashreplace").decode(encoding)
