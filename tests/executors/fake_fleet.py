"""Workers that live in memory and train nothing: who comes next, who dies and when is a test's choice."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from results_by_hand import standard_metrics

from cnnsweep.executors.backend import WorkerDied
from cnnsweep.executors.messages import (
    Call,
    Decisions,
    EpochEnded,
    GroupEnded,
    GroupFailed,
    Ready,
    Resumed,
    Returned,
    RunEnded,
    Train,
)
from cnnsweep.planning.scheduling import Slot
from cnnsweep.storage.checkpoint import LastCheckpoint
from cnnsweep.types import (
    CONSTANT,
    Decision,
    EpochRecord,
    EpochReport,
    FailureKind,
    Hyperparameters,
    ModelChoice,
    Run,
    RunGroup,
    RunOutcome,
    RunStatus,
)

SETTINGS = Hyperparameters(
    lr=0.01, batch_size=16, shuffle=True, epochs=3, optimizer="adam", momentum=None, nesterov=None, beta1=0.9,
    beta2=0.999, eps=1e-8, weight_decay=0.0, schedule=CONSTANT, label_smoothing=0.0, grad_clip=None,
    augment=(), seed=1,
)  # fmt: skip
CPU = Slot("cpu", 1)
_LONGEST_SILENCE = 200  # waits in a row in which nothing comes: somebody waits forever
_MOST_HIRED = 3_000  # more are lost over one group forever


def make_group(*names: str) -> RunGroup:
    """Return a group of one program, a trajectory of one run for each name."""
    return RunGroup.of([(Run(name, name, ModelChoice("lenet"), SETTINGS, {}, name),) for name in names])


def report(run_id: str, epoch: int) -> EpochReport:
    record = EpochRecord(run_id, epoch, standard_metrics(1.0, 0.5, 1.0, 0.5), 1.0, float(epoch), 0.01, 1)
    return EpochReport(record, torch.zeros(1), {}, {}, {})


class Clock:
    """Stands for the module `time` in the pool."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@dataclass(eq=False)
class FakeWorker:
    """A worker as its fleet sees it.

    Attributes:
        box: what it has said and nobody has heard; None is the next thing of its script.
        script: what it says next, up to a question, which a decision answers.
    """

    place: Slot
    name: str
    box: deque[Any] = field(default_factory=deque)
    script: Iterator[Any] | None = None
    orders: list[Train] = field(default_factory=list)
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    is_gone: bool = False


def trains_well(order: Train, decided: Callable[[], Mapping[str, Decision]]) -> Iterator[Any]:
    """Say what a worker says that trains a group to its end."""
    left = [run.id for run in order.group.runs]
    done = {run_id: order.checkpoints[run_id].record.epoch if run_id in order.checkpoints else 0 for run_id in left}
    assert len(set(done.values())) == 1, "runs of a group are at one epoch in these tests"
    epoch = next(iter(done.values()))
    if epoch:
        yield Resumed(tuple(left))
        yield from (RunEnded(RunOutcome(one, RunStatus.WAITING)) for one, how in decided().items() if how)
        left = [one for one in left if one not in decided()]
    while left:
        epoch += 1
        if epoch > SETTINGS.epochs:
            yield from (RunEnded(RunOutcome(one, RunStatus.FINISHED)) for one in left)
            break
        yield EpochEnded(tuple(report(one, epoch) for one in left))
        for one in list(left):
            if decided().get(one) is Decision.INTERRUPT:
                yield RunEnded(RunOutcome(one, RunStatus.INTERRUPTED))
                left.remove(one)
    yield GroupEnded()


def cannot_together(order: Train, decided: Callable[[], Mapping[str, Decision]]) -> Iterator[Any]:
    """Say that memory runs out for more than one run."""
    if len(order.group.runs) > 1:
        return iter([GroupFailed("full", order.group, is_memory=True)])
    return trains_well(order, decided)


class FakeFleet:
    """See `Workers`.

    Args:
        begin: what a worker says when it has been started, by how many were before it.
        train: what it says when it is sent a group.
        chance: decides whose message comes next; without it they take turns.
    """

    def __init__(
        self,
        slots: Sequence[Slot] = (CPU, CPU),
        begin: Callable[[int], list[Any]] = lambda number: [Ready(f"worker {number}")],
        train: Callable[[Train, Callable[[], Mapping[str, Decision]]], Iterator[Any]] = trains_well,
        chance: random.Random | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.hired: list[FakeWorker] = []
        self.alive: list[FakeWorker] = []
        self.sent: list[tuple[FakeWorker, Any]] = []
        self.is_closed = False
        self._all_places = list(slots)
        self._begin, self._train, self._chance = begin, train, chance
        self._silence = 0
        self._turns: deque[FakeWorker] = deque()

    @property
    def slots(self) -> int:
        return len(self._all_places)

    def start(self) -> FakeWorker | None:
        assert not self.is_closed
        if len(self.alive) == len(self._all_places):
            return None
        number = len(self.hired)
        assert number < _MOST_HIRED, "workers are hired and lost without end"
        worker = FakeWorker(self._all_places[len(self.alive)], f"worker {number}")
        worker.box.extend(self._begin(number))
        self.hired.append(worker)
        self.alive.append(worker)
        self._turns.append(worker)
        return worker

    def send(self, worker: FakeWorker, message: Any) -> None:
        self.sent.append((worker, message))
        if worker.is_gone:
            return
        if isinstance(message, Train):
            assert worker.script is None, "a worker trains one group at a time"
            worker.orders.append(message)
            worker.decisions = {}
            worker.script = self._train(message, lambda: worker.decisions)
            worker.box.append(None)  # it says the next thing when it is its turn
        elif isinstance(message, Decisions):
            worker.decisions = message.by_run
            worker.box.append(None)
        elif isinstance(message, Call):
            worker.box.append(Returned(message.function(*message.arguments)))

    def wait(self, seconds: float) -> Sequence[tuple[FakeWorker, Any]]:
        worker = self._next_talker()
        if worker is None:
            self.clock.now += seconds
            self._silence += 1
            assert self._silence < _LONGEST_SILENCE, "nothing happens any more"
            return []
        self._silence = 0
        message = worker.box.popleft()
        if message is None:
            assert worker.script is not None
            message = next(worker.script)
            if not isinstance(message, EpochEnded | Resumed | GroupEnded | GroupFailed | WorkerDied):
                worker.box.append(None)
        if isinstance(message, GroupEnded | GroupFailed):
            worker.script = None
        if isinstance(message, WorkerDied):
            self.stop(worker)
        return [(worker, message)]

    def _next_talker(self) -> FakeWorker | None:
        if self._chance is not None and self.alive:
            start = self._chance.randrange(len(self.alive))
            return next((one for one in self.alive[start:] + self.alive[:start] if one.box), None)
        for _ in range(len(self._turns)):
            self._turns.rotate(-1)
            if self._turns[-1].box:
                return self._turns[-1]
        return None

    def stop(self, worker: FakeWorker) -> None:
        worker.is_gone = True
        if worker in self.alive:
            self.alive.remove(worker)
            self._turns.remove(worker)

    def close(self) -> None:
        self.is_closed = True
        self.alive.clear()
        self._turns.clear()


class FakeWatcher:
    """See `ExecutorCallback`: holds everyone to the contract, and keeps what it was told."""

    def __init__(self, most_groups: int | None = None) -> None:
        self.epochs: dict[str, int] = {}
        self.ends: dict[str, RunOutcome] = {}
        self.started: list[list[str]] = []
        self.lost: list[str] = []
        self.splits: list[tuple[list[list[str]], str]] = []
        self.said: list[str] = []
        self.batches: list[tuple[str, ...]] = []
        self.decisions: dict[str, Decision] = {}
        self.training: set[str] = set()
        self._most_groups = most_groups

    def on_group_start(self, group: RunGroup) -> Mapping[str, LastCheckpoint] | None:
        if self._most_groups is not None and len(self.started) >= self._most_groups:
            return None
        ids = [run.id for run in group.runs]
        assert not self.training & set(ids), "a run trains at two places"
        assert not any(run_id in self.ends for run_id in ids), "a run that has ended is trained again"
        self.training |= set(ids)
        self.started.append(ids)
        at = {run_id: self.epochs[run_id] for run_id in ids if run_id in self.epochs}
        return {run_id: LastCheckpoint(report(run_id, epoch).record, {}, {}) for run_id, epoch in at.items()}

    def on_group_split(self, parts: Sequence[RunGroup], cause: str) -> None:
        names = [[run.id for run in part.runs] for part in parts]
        self.training -= {one for part in names for one in part}
        self.splits.append((names, cause))

    def on_group_lost(self, group: RunGroup, cause: str) -> None:
        self.training -= {run.id for run in group.runs}
        self.lost.append(cause)

    def on_log(self, text: str) -> None:
        self.said.append(text)

    def on_batch_end(self, run_ids: Sequence[str], epoch: int, done: int, total: int) -> None:
        self.batches.append(tuple(run_ids))

    def on_resume(self, run_ids: Sequence[str]) -> Mapping[str, Decision]:
        return {run_id: self.decisions[run_id] for run_id in run_ids if run_id in self.decisions}

    def on_epoch_end(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
        for one in reports:
            assert one.record.run_id in self.training
            assert one.record.epoch == self.epochs.get(one.record.run_id, 0) + 1, "an epoch is told twice, or not"
            self.epochs[one.record.run_id] = one.record.epoch
        return self.decisions

    def on_run_end(self, outcome: RunOutcome) -> None:
        assert outcome.run_id not in self.ends
        if outcome.failure is not FailureKind.KILLED:
            assert outcome.run_id in self.training
        self.training.discard(outcome.run_id)
        self.ends[outcome.run_id] = outcome

    @property
    def statuses(self) -> dict[str, RunStatus]:
        return {run_id: outcome.status for run_id, outcome in self.ends.items()}
