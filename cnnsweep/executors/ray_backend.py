"""Workers on a Ray cluster: an actor each, started on a node with enough room."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

import ray
from ray import cloudpickle

from cnnsweep.datasets.streaming import StreamedImages
from cnnsweep.errors import ExecutionError, UsageError
from cnnsweep.executors import ray_actor
from cnnsweep.executors.backend import Worker, WorkerDied
from cnnsweep.executors.messages import (
    BatchesDone,
    FromWorker,
    LogLine,
    RunEnded,
    StartupFailed,
    ToWorker,
    pack,
    unpack,
)
from cnnsweep.executors.ray_connection import Connection
from cnnsweep.executors.ray_errors import how_it_was_lost
from cnnsweep.executors.ray_options import RayOptions
from cnnsweep.executors.ray_task import Surroundings, store
from cnnsweep.formatting.numbers import count_text
from cnnsweep.planning.scheduling import Slot
from cnnsweep.training.data_module import DataModule

_LOOK_EVERY_S = 1.0  # seconds between two checks of free resources
_LONG_S = 30.0  # seconds of waiting for a node before a report
_CANNOT_SEND = (
    "--executor ray: the images do not fit in memory, so they cannot be sent to a cluster; put them on every node, in "
    "a folder of the same name, and add --node-data FOLDER"
)
_TELLING = (BatchesDone, RunEnded, LogLine)  # the worker waits for the parent after other messages

cloudpickle.register_pickle_by_value(ray_actor)  # so that it reaches nodes without cnnsweep


class RayWorkers:
    """One actor for each worker; see `Workers`.

    Without a number of jobs it uses all free resources, including nodes that join later. With a number, workers without
    room wait in the cluster's queue, so that an autoscaler adds nodes.

    Args:
        tell: takes a line about the cluster for the user.

    Raises:
        CnnSweepError: see `Connection`.
    """

    def __init__(self, task: DataModule, wish: RayOptions, tell: Callable[[str], None]) -> None:
        self._wish = wish
        self._tell = tell
        self._connection = Connection(wish.address, (wish.jobs or 0) * wish.threads, wish.code)
        try:
            self._device = _choose_device(wish.device)
            if isinstance(task.images, StreamedImages) and wish.node_data is None and not self._connection.is_local:
                raise UsageError(_CANNOT_SEND)
            self._objects = store(task, wish.node_data, self._surroundings())
        except BaseException:
            self._connection.close()
            raise
        self._workers: set[_Actor] = set()
        self._heard: _Heard = SimpleQueue()
        self._unfit: dict[str, str] = {}  # by node id: the reason why it cannot train
        self._room, self._next_look = 0, 0.0
        self._has_told, self._next_count = False, 0.0
        self._places = wish.jobs or wish.slots or max(1, self._capacity())

    @property
    def description(self) -> str:
        """Name of the worker, in words."""
        workers = count_text(self._places, "worker")
        each = "a GPU each" if self._device != "cpu" else f"{count_text(self._wish.threads, 'thread')} each"
        return f"{workers} of a Ray cluster{' on this machine' if self._connection.is_local else ''}, {each}"

    @property
    def slots(self) -> int:
        return self._places

    def start(self) -> Worker | None:
        """See `Workers`, also for the following methods."""
        if not self._has_room():
            return None
        if self._unfit and not self._capacity():
            raise ExecutionError(f"no node of the cluster can train: {next(iter(self._unfit.values()))}")
        self._room -= 1
        place = Slot(self._device, self._wish.threads)
        worker = _Actor(place, self._start(), self._heard)
        self._workers.add(worker)
        return worker

    def send(self, worker: Worker, message: ToWorker) -> None:
        assert isinstance(worker, _Actor)
        if worker in self._workers:
            worker.exchange(pack(message))

    def wait(self, seconds: float) -> Sequence[tuple[Worker, FromWorker | WorkerDied]]:
        heard: list[tuple[Worker, FromWorker | WorkerDied]] = []
        end = time.monotonic() + seconds
        while not heard:
            try:
                worker, future = self._heard.get(timeout=max(0.0, end - time.monotonic()))
            except Empty:
                break
            if worker in self._workers:  # stopped workers send nothing more
                heard += [(worker, message) for message in self._read(worker, future)]
        self._tell_of_long_waits()
        return heard

    def stop(self, worker: Worker) -> None:
        assert isinstance(worker, _Actor)
        if worker in self._workers:
            self._workers.remove(worker)
            worker.kill()

    def close(self) -> None:
        workers, self._workers = self._workers, set()
        if ray.is_initialized():
            for worker in workers:
                worker.kill()
        self._objects = ()
        self._connection.close()

    def _surroundings(self) -> Surroundings:
        return Surroundings.here() if self._connection.is_local else Surroundings(self._connection.code)

    def _start(self) -> Any:
        """Return an actor that starts as soon as a node has room for it."""
        threads = self._wish.threads
        options: dict[str, Any] = {
            "num_cpus": threads,
            "num_gpus": 0 if self._device == "cpu" else 1,
            "max_restarts": 0,
            "max_concurrency": 2,  # `stay` never returns, and another call exchanges messages
            "scheduling_strategy": "SPREAD",
        }
        if self._unfit:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(self._unfit)})"}
        actor = ray.remote(ray_actor.TrainingActor).options(**options)
        # In a list, objects are passed as references.
        return actor.remote(ray_actor.versions_here(), self._device, threads, list(self._objects))

    def _has_room(self) -> bool:
        if self._wish.jobs is not None:
            return len(self._workers) < self._wish.jobs
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_EVERY_S
            on_their_way = sum(not worker.node for worker in self._workers)  # their resources still count as free
            free = self._slots(ray.available_resources()) - on_their_way
            self._room = min(free, self._capacity() - len(self._workers))
        # One may always wait: for a full cluster, or for one that grows from zero nodes.
        return self._room > 0 or not self._workers

    def _capacity(self) -> int:
        """Return the number of workers with room on usable nodes."""
        nodes = (node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in self._unfit)
        return sum(self._slots(node["Resources"]) for node in nodes)

    def _slots(self, resources: dict[str, float]) -> int:
        """Return the number of workers that these resources allow."""
        slots = int(resources.get("CPU", 0)) // self._wish.threads
        return slots if self._device == "cpu" else min(slots, int(resources.get("GPU", 0)))

    def _read(self, worker: _Actor, future: Future[Any]) -> Iterator[FromWorker | WorkerDied]:
        """Return the messages of a finished call, and let the worker continue."""
        if (error := future.exception()) is not None:
            self.stop(worker)
            yield WorkerDied(how_it_was_lost(error, worker.address))
            return
        if isinstance(future.result(), tuple):
            worker.be_at(*future.result())
            return
        contents: list[bytes | str] = future.result()
        messages = [unpack(one) if isinstance(one, bytes) else StartupFailed(one) for one in contents]
        if any(isinstance(message, StartupFailed) for message in messages) and worker.node:
            self._unfit[worker.node] = f"{worker.address}: {messages[-1].cause}"
        if all(isinstance(message, _TELLING) for message in messages):
            worker.exchange(None)
        yield from messages

    def _tell_of_long_waits(self) -> None:
        """Report once that workers wait for room."""
        if self._has_told or time.monotonic() < self._next_count:
            return
        self._next_count = time.monotonic() + _LOOK_EVERY_S
        since = [worker.since for worker in self._workers if not worker.node]
        if not since or time.monotonic() - min(since) < _LONG_S:
            return
        self._has_told = True
        cores = f"{self._wish.threads} free CPU{'s' if self._wish.threads > 1 else ''}"
        needs = cores if self._device == "cpu" else f"a free GPU and {cores}"
        waiting = count_text(len(since), "worker")
        self._tell(f"{waiting} cannot start yet: no node of the Ray cluster has {needs}; training begins when one has")


def _choose_device(wish: str) -> str:
    """Return the device of an actor: `cuda:0` is the only one visible to it."""
    has_gpus = ray.cluster_resources().get("GPU", 0) >= 1
    return "cuda:0" if wish == "cuda" or (wish == "auto" and has_gpus) else "cpu"


class _Actor:
    """A worker, from the parent's side.

    Attributes:
        since: the time of its start.
        node: the id of its node; empty until it has one.
    """

    def __init__(self, place: Slot, actor: Any, heard: _Heard) -> None:
        self.place = place
        self.since = time.monotonic()
        self.node = self.address = ""
        self.name = "a Ray worker"
        self._actor = actor
        self._heard = heard
        self._listen(actor.where.remote())
        self._listen(actor.stay.remote())
        self.exchange(None)

    def be_at(self, node: str, address: str, process: int) -> None:
        """Store the node and process of the worker."""
        self.node, self.address = node, address
        self.name = f"Ray worker on {address} (process {process})"
        self.place = dataclasses.replace(self.place, node=address)

    def exchange(self, content: bytes | None) -> None:
        """Forward a message, if given, and wait for the next ones."""
        self._listen(self._actor.exchange.remote(content))

    def kill(self) -> None:
        """Kill the actor in any state."""
        ray.kill(self._actor)

    def _listen(self, reference: Any) -> None:
        # Not `ray.wait`, whose cost per message grows with the number of workers.
        future = reference.future()
        future.add_done_callback(lambda done: self._heard.put((self, done)))


_Heard = SimpleQueue[tuple[_Actor, Future[Any]]]
