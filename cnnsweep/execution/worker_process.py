"""The program of a worker process, which `processes.py` starts.

It is started anew, not forked: a fork of a process that has threads or a GPU may hang. So nothing of the parent's main
module is imported again, and a script needs no guard around what it runs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection


def main() -> None:
    """Train what the parent sends; nothing heavy is imported before signals are out of the way."""
    # They come to all processes of a terminal or a batch job. The parent decides what follows from them.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    connection, lifeline, threads = map(int, sys.argv[1:4])
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    _serve(Connection(connection), threads)


def _end_with_parent(lifeline: int) -> None:
    """Wait until the parent has ended, however it did, and end too, in the middle of whatever trains."""
    while os.read(lifeline, 1):
        pass
    os._exit(1)


def _serve(connection: Connection, threads: int) -> None:
    import torch

    from cnnsweep.execution.messages import FromWorker, Ready, ToWorker, Unfit, pack, unpack
    from cnnsweep.execution.shared_task import with_images
    from cnnsweep.execution.worker import Disconnected, serve
    from cnnsweep.training.failing import one_line
    from cnnsweep.training.memory import keep_freed_memory

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
            task = with_images(unpack(connection.recv_bytes()), threads)
            if task.device.type == "cuda":
                torch.cuda.set_device(task.device)
        except (EOFError, OSError) as error:
            raise Disconnected from error
        except Exception as error:
            traceback.print_exc()
            channel.send(Unfit(one_line(error)))
            return
        channel.send(Ready(f"worker process {os.getpid()}"))
        serve(channel, task)
    except Disconnected:
        return
