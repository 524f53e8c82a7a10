"""The main program of a worker process, which `local_processes.py` starts.

It is spawned, not forked: a fork of a process with threads or a GPU may hang. The parent's main module is not imported
again, so a script needs no `if __name__` guard.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection

# All processes of a terminal or a batch job receive them. The parent decides about the consequences.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main() -> None:
    """Train the groups from the parent; nothing heavy is imported before signals are handled."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # signals blocked at the start
    assert isinstance(sys.stdout, io.TextIOWrapper)
    assert isinstance(sys.stderr, io.TextIOWrapper)
    # A model's output must arrive before the process is killed, and must not end it if a locale lacks a character; the
    # parent reads UTF-8.
    sys.stdout.reconfigure(line_buffering=True, encoding="utf-8", errors="backslashreplace")
    sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")
    connection, lifeline, task, threads = map(int, sys.argv[1:5])
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    to_parent = Connection(connection)
    os.register_at_fork(after_in_child=to_parent.close)  # decoding processes may outlive this process for seconds
    _serve(to_parent, task, threads)


def _end_with_parent(lifeline: int) -> None:
    """Wait for any end of the parent, then exit, even in the middle of an epoch."""
    while os.read(lifeline, 1):
        pass
    os._exit(1)


def _serve(connection: Connection, task_descriptor: int, threads: int) -> None:
    import torch

    from cnnsweep.datasets.shared_memory import SharedMemory
    from cnnsweep.executors.messages import FromWorker, Ready, StartupFailed, ToWorker, pack, unpack
    from cnnsweep.executors.shared_memory_task import with_images
    from cnnsweep.executors.worker import Disconnected, serve
    from cnnsweep.training.failures import one_line
    from cnnsweep.training.malloc import keep_freed_memory

    class ToParent:
        """See `Channel`."""

        def send(self, message: FromWorker) -> None:
            try:
                connection.send_bytes(pack(message))
            except OSError as error:
                raise Disconnected from error

        def receive(self) -> ToWorker:
            try:
                message: ToWorker = unpack(connection.recv_bytes())
            except (EOFError, OSError) as error:
                raise Disconnected from error
            return message

    try:
        channel = ToParent()
        try:
            torch.set_num_threads(threads)
            keep_freed_memory()
            packed = SharedMemory(task_descriptor, os.fstat(task_descriptor).st_size)
            task = with_images(unpack(packed.content), threads)
            if task.device.type == "cuda":
                torch.cuda.set_device(task.device)
        except Exception as error:
            channel.send(StartupFailed(one_line(error)))
            return
        channel.send(Ready(f"worker process {os.getpid()}"))
        serve(channel, task)
    except Disconnected:
        return
