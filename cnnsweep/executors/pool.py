"""Training by several workers at once: processes of this machine, or actors on a cluster.

It assigns groups to workers, forwards their reports to the callback, and trains the groups of dead workers again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from cnnsweep.errors import ExecutionError
from cnnsweep.executors.backend import Worker, WorkerDied, Workers
from cnnsweep.executors.base import ExecutorCallback, R
from cnnsweep.executors.messages import (
    BatchesDone,
    Call,
    Decisions,
    EpochEnded,
    FromWorker,
    GroupEnded,
    GroupFailed,
    LogLine,
    Raised,
    Ready,
    Resumed,
    Returned,
    RunEnded,
    StartupFailed,
    Train,
)
from cnnsweep.executors.split_group import split
from cnnsweep.planning.scheduling import Assignment, Job, Queue
from cnnsweep.training.trial_slots import only
from cnnsweep.types import FailureKind, Run, RunGroup, RunOutcome, RunStatus

_MOST_LOSSES = 3  # losses of workers without an epoch in between; then the group is the cause
_PROGRESS_EVERY_S = 0.5  # seconds between a worker's reports of batches, if it is the only one
_PROGRESS_A_SECOND = 50  # reports per second of all workers, since the parent has other work than the display
_PATIENCE_S = 1.0  # seconds between two checks for new slots
_HINT = "if memory ran out, try a smaller batch_size or fewer --jobs"
_IDLE_S = 60.0  # seconds until a worker without work frees its slot while others train


@dataclass(slots=True)
class _Training:
    """A group on its worker.

    Attributes:
        left: the unfinished runs, by id.
        losses: the number of workers that died with it since its last epoch.
    """

    assignment: Assignment
    left: dict[str, Run]
    losses: int

    @property
    def load(self) -> Job:
        return self.assignment.load


@dataclass(slots=True)
class _Round:
    """One call of `execute`.

    Attributes:
        losses: losses of the groups that wait again, by the ids of their runs.
    """

    callback: ExecutorCallback
    queue: Queue
    busy: dict[Worker, _Training] = field(default_factory=dict)
    losses: dict[frozenset[str], int] = field(default_factory=dict)


class PoolExecutor:
    """Trains groups on a set of workers, the longest first; see `Executor`.

    Args:
        lockstep: see `InProcessExecutor`.
    """

    def __init__(self, fleet: Workers, *, lockstep: bool = False) -> None:
        self._fleet = fleet
        self._lockstep = lockstep
        self._starting: list[Worker] = []
        self._idle: dict[Worker, float] = {}  # since this time
        self._names: dict[Worker, str] = {}
        self._last_words: dict[Worker, str] = {}  # startup failures of workers that have not trained yet
        self._failed_starts = 0  # in a row
        self._why_none_starts = ""

    @property
    def description(self) -> str | None:
        """The workers in words, if they do not follow from the devices of this machine."""
        return getattr(self._fleet, "description", None)

    @property
    def slots(self) -> int:
        return self._fleet.slots

    def call(self, function: Callable[..., R], *arguments: object) -> R:
        """See `Executor.call`."""
        return cast(R, self._call(1, Call(function, arguments))[0])

    def call_everywhere(self, function: Callable[..., R], *arguments: object) -> list[R]:
        """Call a function, as `call` does, on every slot at the same time; return all results."""
        return self._call(self.slots, Call(function, arguments))

    def _call(self, count: int, call: Call) -> list[Any]:
        answers: list[Returned | Raised] = []
        calling: set[Worker] = set()
        losses = 0
        try:
            while len(answers) < count:
                missing = count - len(answers) - len(calling)
                self._hire(missing, len(calling))
                if len(self._idle) >= missing:  # all at once, after all workers are ready
                    for worker in list(self._idle)[:missing]:
                        del self._idle[worker]
                        calling.add(worker)
                        self._fleet.send(worker, call)
                for worker, message in self._fleet.wait(_PATIENCE_S):
                    match message:
                        case Returned() | Raised():
                            answers.append(message)
                            calling.remove(worker)
                            self._idle[worker] = time.monotonic()
                        case WorkerDied(cause) if worker in calling:
                            calling.remove(worker)
                            losses += 1
                            if losses == _MOST_LOSSES:
                                raise RuntimeError(f"{losses} workers were lost at it, the last of them {cause}")
                        case _:
                            self._hear_of_worker(worker, message)
        except BaseException:
            for worker in calling:
                self._fleet.stop(worker)
            raise
        return [_value(answer) for answer in answers]

    def execute(self, jobs: Sequence[Job], callback: ExecutorCallback) -> None:
        """See `Executor.execute`."""
        this = _Round(callback, Queue(jobs))
        try:
            while this.queue or this.busy:
                self._hire(len(this.queue), len(this.busy))
                self._hand_out(this)
                if not this.queue:
                    self._let_go()
                if not this.queue and not this.busy:
                    break  # no further group may start
                for worker, message in self._fleet.wait(_PATIENCE_S):
                    self._hear(this, worker, message)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """See `Executor.close`."""
        self._fleet.close()
        self._starting, self._idle = [], {}

    def _hire(self, wanted: int, busy: int) -> None:
        """Start workers until enough are idle or starting.

        Raises:
            ExecutionError: no worker is left, and none can be started.
        """
        if wanted > 0 and self._failed_starts >= _MOST_LOSSES and not (self._starting or self._idle or busy):
            raise ExecutionError(f"no worker can be started: {self._why_none_starts}")
        while len(self._starting) + len(self._idle) < wanted and self._failed_starts < _MOST_LOSSES:
            try:
                worker = self._fleet.start()
            except ExecutionError as error:
                if not (self._starting or self._idle or busy):
                    raise
                self._failed_starts += 1
                self._why_none_starts = str(error)
                return
            if worker is None:
                return
            self._starting.append(worker)

    def _let_go(self) -> None:
        """Stop the workers without remaining work."""
        for worker in [one for one, since in self._idle.items() if time.monotonic() - since > _IDLE_S]:
            del self._idle[worker]
            self._fleet.stop(worker)

    def _hand_out(self, this: _Round) -> None:
        """Assign a suitable group to every idle worker, until the callback starts no further group."""
        idle = [worker.place for worker in self._idle] if this.queue else []
        for place in this.queue.fastest_first(idle):
            worker = next(one for one in self._idle if one.place is place)
            busy = (one.assignment for one in this.busy.values())
            load = this.queue.take(place, busy, time.monotonic())
            if load is None:
                if not this.queue:
                    return
                continue
            checkpoints = this.callback.on_group_start(load.group)
            if checkpoints is None:
                this.queue = Queue([])
                return
            del self._idle[worker]
            left = {run.id: run for run in load.group.runs}
            losses = this.losses.pop(frozenset(left), 0)
            this.busy[worker] = _Training(Assignment(place, load, time.monotonic()), left, losses)
            self._fleet.send(worker, Train(load.group, checkpoints, self._progress_every_s))

    @property
    def _progress_every_s(self) -> float:
        return max(_PROGRESS_EVERY_S, self._fleet.slots / _PROGRESS_A_SECOND)

    def _hear(self, this: _Round, worker: Worker, message: FromWorker | WorkerDied) -> None:
        callback = this.callback
        match message:
            case WorkerDied(cause) if worker in this.busy:
                self._failed_starts = 0  # a worker could be started
                self._lose(this, this.busy.pop(worker), self._name(worker), cause)
                self._names.pop(worker, None)
            case LogLine(text) if worker not in self._starting:
                callback.on_log(f"{self._name(worker)}: {text}")
            case BatchesDone(run_ids, epoch, done, total):
                callback.on_batch_end(run_ids, epoch, done, total)
            case Resumed(run_ids):
                self._fleet.send(worker, Decisions(callback.on_resume(run_ids)))
            case EpochEnded(reports):
                this.busy[worker].losses = 0
                self._fleet.send(worker, Decisions(callback.on_epoch_end(reports)))
            case RunEnded(outcome):
                this.busy[worker].left.pop(outcome.run_id, None)
                callback.on_run_end(outcome)
            case GroupEnded():
                ended = this.busy.pop(worker).assignment
                this.queue.learn(ended.place, ended.load, time.monotonic() - ended.since)
                self._idle[worker] = time.monotonic()
            case GroupFailed(cause, remaining, is_memory):
                load = this.busy.pop(worker).load
                self._idle[worker] = time.monotonic()
                self._divide(this, load, remaining, cause, is_memory=is_memory)
            case _:
                self._hear_of_worker(worker, message)

    def _hear_of_worker(self, worker: Worker, message: FromWorker | WorkerDied) -> None:
        """Handle a message from a worker that trains nothing."""
        match message:
            case Ready(name):
                self._starting.remove(worker)
                self._idle[worker] = time.monotonic()
                self._names[worker] = name
                self._last_words.pop(worker, None)
                self._failed_starts = 0
            case StartupFailed(cause):
                self._fleet.stop(worker)
                self._last_words.pop(worker, None)
                self._note_failed_start(worker, f"cannot train: {cause}")
            case WorkerDied(cause) if worker in self._starting:
                words = self._last_words.pop(worker, "")
                self._note_failed_start(worker, cause + (f" ({words})" if words else ""))
            case WorkerDied():
                self._idle.pop(worker, None)
                self._names.pop(worker, None)
            case LogLine(text) if worker in self._starting:
                self._last_words[worker] = text

    def _divide(self, this: _Round, load: Job, remaining: RunGroup, cause: str, *, is_memory: bool) -> None:
        parts = split(remaining, is_memory=is_memory, lockstep=self._lockstep)
        this.callback.on_group_split(parts, cause)
        this.queue.put_back([Job(part, _share(load, part)) for part in parts])

    def _lose(self, this: _Round, lost: _Training, name: str, cause: str) -> None:
        """Put the group of a dead worker back into the queue."""
        if not lost.left:
            return
        group = only(lost.load.group, lost.left)
        losses = lost.losses + 1
        if losses < _MOST_LOSSES:
            this.callback.on_group_lost(group, f"{name} {cause}")
            this.losses[frozenset(lost.left)] = losses
            this.queue.put_back([Job(group, _share(lost.load, group))])
            return
        # Without worker names: equal failures must have equal causes.
        cause = f"{losses} workers were lost without an epoch in between, the last of them {cause}"
        if len(group.trajectories) > 1:
            self._divide(this, lost.load, group, cause, is_memory=True)
            return
        for run in group.runs:
            this.callback.on_run_end(
                RunOutcome(run.id, RunStatus.FAILED, f"{cause}; {_HINT}", None, FailureKind.KILLED)
            )

    def _note_failed_start(self, worker: Worker, cause: str) -> None:
        self._starting.remove(worker)
        self._failed_starts += 1
        self._why_none_starts = f"{worker.name} {cause}"

    def _name(self, worker: Worker) -> str:
        return self._names.get(worker, worker.name)


def _value(answer: Returned | Raised) -> Any:
    if isinstance(answer, Raised):
        raise answer.error
    return answer.value


def _share(load: Job, part: RunGroup) -> float | None:
    """Return the expected seconds of a part of a group."""
    if load.seconds is None:
        return None
    return load.seconds * len(part.trajectories) / len(load.group.trajectories)
