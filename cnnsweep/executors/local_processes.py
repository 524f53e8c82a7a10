"""Worker processes of this machine: starting them, exchanging messages, ending them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import IO

from cnnsweep.datasets.shared_memory import SharedMemory
from cnnsweep.errors import ExecutionError
from cnnsweep.executors.backend import Worker, WorkerDied
from cnnsweep.executors.local_worker import SIGNALS
from cnnsweep.executors.messages import FromWorker, LogLine, ToWorker, pack, unpack
from cnnsweep.executors.shared_memory_task import with_mapped_images
from cnnsweep.planning.scheduling import Slot
from cnnsweep.training.data_module import DataModule

# A worker has its parent's import path, without modules of the current folder.
_PROGRAM = """
import json, sys
sys.path[:] = json.loads(sys.argv[5])
from cnnsweep.executors.local_worker import main
main()
"""
_ENDING_S = 5.0  # seconds for a process to exit after it closed its connection
_LONGEST_LINE = 2_000  # maximum characters of a worker's printed line


class LocalWorkers:
    """One process for each slot; see `Workers`.

    Args:
        slots: the device and CPU threads of each worker; together at most as many threads as there are cores.
    """

    def __init__(self, slots: Sequence[Slot], task: DataModule) -> None:
        if not hasattr(socket, "socketpair") or sys.platform == "win32":
            raise ExecutionError("--jobs: worker processes need Linux or macOS; leave it out, or use --executor ray")
        self._all_places = tuple(slots)
        self._task = task
        self._packed: dict[str, _PackedTask] = {}  # by device
        self._workers: dict[int, _Process] = {}  # by the number of the slot
        # Workers hold the other end. It closes when this process ends, even by SIGKILL, and then they exit.
        self._their_lifeline, self._lifeline = os.pipe()

    @property
    def slots(self) -> int:
        return len(self._all_places)

    def start(self) -> Worker | None:
        """See `Workers`, also for the following methods."""
        free = [number for number in range(len(self._all_places)) if number not in self._workers]
        if not free:
            return None
        place = self._all_places[free[0]]
        try:
            if place.device not in self._packed:
                self._packed[place.device] = _PackedTask.of(self._task, place.device)
            worker = _Process(place, self._packed[place.device], self._their_lifeline)
        except OSError as error:
            raise ExecutionError(f"a worker process cannot be started: {error.strerror or error}") from error
        self._workers[free[0]] = worker
        return worker

    def send(self, worker: Worker, message: ToWorker) -> None:
        assert isinstance(worker, _Process)
        worker.send(pack(message))

    def wait(self, seconds: float) -> Sequence[tuple[Worker, FromWorker | WorkerDied]]:
        sources = {source: worker for worker in self._workers.values() for source in worker.sources}
        heard: list[tuple[Worker, FromWorker | WorkerDied]] = []
        for source in wait(list(sources), seconds):  # type: ignore[arg-type]  # typeshed leaves out what has a fileno
            worker = sources[source]  # type: ignore[index]
            heard += [(worker, message) for message in worker.read(source)]
            if any(isinstance(message, WorkerDied) for of, message in heard if of is worker):
                self.stop(worker)
        return heard

    def stop(self, worker: Worker) -> None:
        for number, one in list(self._workers.items()):
            if one is worker:
                del self._workers[number]
                one.close()

    def close(self) -> None:
        workers, self._workers = list(self._workers.values()), {}
        for worker in workers:  # signal all, before waiting for any
            worker.kill()
        for worker in workers:
            worker.close()
        for descriptor in (self._lifeline, self._their_lifeline):
            if descriptor >= 0:
                os.close(descriptor)
        self._lifeline = self._their_lifeline = -1


@dataclass(frozen=True, slots=True)
class _PackedTask:
    """Shared data of all runs, in memory, so that a slow worker delays no other.

    Attributes:
        descriptors: the file descriptors that a worker needs to unpack it.
    """

    memory: SharedMemory
    descriptors: tuple[int, ...]

    @classmethod
    def of(cls, task: DataModule, device: str) -> _PackedTask:
        mapped, descriptors = with_mapped_images(task, device)
        memory = SharedMemory.holding(pack(mapped))
        return cls(memory, (memory.descriptor, *descriptors))


class _Process:
    """A worker process, from the parent's side."""

    def __init__(self, place: Slot, task: _PackedTask, lifeline: int) -> None:
        self.place = place
        ours, theirs = socket.socketpair()
        threads = str(place.threads)
        search_path = json.dumps([entry for entry in sys.path if isinstance(entry, str)])  # Python skips all others
        with ours, theirs, _signals_blocked():
            descriptors = (theirs.fileno(), lifeline, *task.descriptors)
            numbers = [theirs.fileno(), lifeline, task.memory.descriptor, threads]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, *map(str, numbers), search_path],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # Before torch is imported: its thread pools are made for this number.
                env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            )
            self._connection: Connection | None = Connection(ours.detach())
        assert self._process.stdout is not None
        self._output: IO[bytes] | None = self._process.stdout
        os.set_blocking(self._output.fileno(), False)
        self._line = b""

    @property
    def name(self) -> str:
        return f"worker process {self._process.pid}"

    @property
    def sources(self) -> list[Connection | IO[bytes]]:
        """Sockets that may have data to read."""
        return [source for source in (self._connection, self._output) if source is not None]

    def send(self, content: bytes) -> None:
        """Send a message, unless the process is gone, which the next read reports."""
        if self._connection is not None:
            try:
                self._connection.send_bytes(content)
            except OSError:
                return

    def read(self, source: object) -> Iterator[FromWorker | WorkerDied]:
        """Return the messages from a source that is ready."""
        if self._connection is not None and source is self._connection:
            try:
                yield unpack(self._connection.recv_bytes())
            except (EOFError, OSError):
                yield from self._printed()
                yield WorkerDied(self._how_it_ended())
        elif source is self._output:
            yield from self._printed()

    def kill(self) -> None:
        """Kill the process in any state."""
        self._process.kill()

    def close(self) -> None:
        """Kill the process and wait for its end, so that no zombie remains."""
        self._process.kill()
        self._process.wait()
        for source in self.sources:
            source.close()
        self._connection = self._output = None

    def _printed(self) -> Iterator[LogLine]:
        """Return the complete printed lines, and an unfinished last line once the process has ended."""
        if self._output is None:
            return
        while (content := self._output.read()) is not None:
            if not content:
                self._output.close()
                self._output = None
                content = b"\n"
            *lines, self._line = (self._line + content).split(b"\n")
            for line in lines:
                if text := line.decode(errors="replace").rstrip()[:_LONGEST_LINE]:
                    yield LogLine(text)
            if self._output is None:
                return

    def _how_it_ended(self) -> str:
        """Describe the end of a process that closed its connection."""
        try:
            code = self._process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:  # only its connection is closed
            self._process.kill()
            code = self._process.wait()
        if code >= 0:
            return f"exited with code {code}"
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Start processes with signals blocked, until they have installed their own handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
