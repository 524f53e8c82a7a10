"""What it costs to train elsewhere: a run's overhead, a parent with 1,000 runs in flight, two processes, memory.

    python benchmarks/executors.py overhead [--runs 2000] [--ray]     about 6 minutes, 4 more with --ray
    python benchmarks/executors.py flat [--workers 1000] [--seconds 240] [--epoch-s 60]
    python benchmarks/executors.py two [--rounds 5]                   about 10 minutes
    python benchmarks/executors.py memory [--megabytes 200]           half a minute

    overhead   whole sweeps of runs that train one batch of a tiny network, recorded as always, by each executor
    flat       a sweep whose workers only pretend: messages of real content and size come at a real rate, and everything
               in the parent is real. Printed over time: resident memory, CPU, messages
    two        runs of a network that does not fuse, alone: one process with all threads against two that share them
    memory     the sum over all processes of their proportional memory, with more and more workers

Sides are timed in turn in fresh processes, after the imports.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TINY = """
name: overhead
dataset: {{name: shapes, size: 12, classes: 2, train: 20, test: 2}}
model: {{name: cnn, channels: [2], kernel_size: 3, hidden: []}}
params: {{lr: 0.01, seed: {seeds}, batch_size: 32, epochs: 1}}
tensorboard: false
"""
IN_FLIGHT = """
name: flat
dataset: {{name: shapes, size: 28, classes: 10, train: 100, test: 10}}
model: lenet
params: {{lr: 0.01, seed: {seeds}, batch_size: 32, epochs: 10}}
"""
WIDE = """
name: two
dataset: {{name: shapes, size: 32, channels: 3, train: {train}}}
model: {model}
params: {{lr: [0.01, 0.003, 0.001, 0.0003], batch_size: 64, epochs: 1}}
tensorboard: false
"""
WORK = {"cifar_cnn": 10_000, "resnet18": 500}
_EVERY_S = 10.0  # that the state of a sweep is printed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    overhead = commands.add_parser("overhead")
    overhead.add_argument("--runs", type=int, default=2000)
    overhead.add_argument("--ray", action="store_true")
    flat = commands.add_parser("flat")
    flat.add_argument("--workers", type=int, default=1000)
    flat.add_argument("--seconds", type=float, default=240)
    flat.add_argument("--epoch-s", type=float, default=60, help="that an epoch takes on each worker")
    two = commands.add_parser("two")
    two.add_argument("--rounds", type=int, default=5)
    memory = commands.add_parser("memory")
    memory.add_argument("--megabytes", type=int, default=200)
    side = commands.add_parser("side")  # one side, in a process of its own
    side.add_argument("text")
    side.add_argument("staff", type=json.loads)
    arguments = parser.parse_args()
    if arguments.command == "side":
        print(json.dumps(train_side(arguments.text, arguments.executor_options)))
    elif arguments.command == "overhead":
        compare_overhead(arguments.runs, with_ray=arguments.ray)
    elif arguments.command == "flat":
        watch_parent(arguments.workers, arguments.seconds, arguments.epoch_s)
    elif arguments.command == "two":
        compare_two(arguments.rounds)
    else:
        count_memory(arguments.megabytes)


def run_whole(text: str, folder: Path, **executor_options: Any) -> float:
    """Run a sweep, each run alone; return the seconds it took."""
    from cnnsweep.config.load import parse_sweep
    from cnnsweep.executors.options import ExecutorOptions
    from cnnsweep.progress.choose import choose_display
    from cnnsweep.sweep import SweepOptions, run_sweep

    spec = parse_sweep(text, "benchmark.yaml", [])
    options = SweepOptions(
        folder, folder, fuse="off", max_runs=10**6, executor_options=ExecutorOptions(**executor_options)
    )
    start = time.perf_counter()
    result = run_sweep(spec, options, [choose_display(quiet=True)])
    assert not result.has_failures
    return time.perf_counter() - start


def train_side(text: str, executor_options: dict[str, Any]) -> dict[str, float]:
    """Train a sweep in this process; return the seconds it took, of them the parent's CPU."""
    import torch._dynamo  # what optimizers import when the first one is made

    import cnnsweep.sweep  # noqa: F401

    torch.zeros(1)
    before = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        seconds = run_whole(text, Path(folder), **executor_options)
    return {"seconds": seconds, "cpu": time.process_time() - before}


def in_fresh_process(text: str, **executor_options: Any) -> dict[str, float]:
    command = [sys.executable, __file__, "side", text, json.dumps(executor_options)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return answer


def compare_overhead(runs: int, *, with_ray: bool) -> None:
    """Print what a run costs more elsewhere; the start of workers is what one run alone takes longer."""
    sides: dict[str, dict[str, Any]] = {
        "in this process": {"jobs": 1, "threads": 1},
        "two processes": {"jobs": 2, "threads": 1},
        "four processes": {"jobs": 4, "threads": 1},
    }
    if with_ray:
        sides["ray, two actors"] = {"jobs": 2, "threads": 1, "executor": "ray"}
    base = 0.0
    print(f"{runs} runs   seconds  start  ms per run  parent's CPU, ms per run  against in process")
    for name, executor_options in sides.items():
        start = in_fresh_process(TINY.format(seeds=list(range(2))), **executor_options)
        whole = in_fresh_process(TINY.format(seeds=list(range(runs))), **executor_options)
        each, cpu = ((whole[key] - start[key]) / (runs - 2) * 1e3 for key in ("seconds", "cpu"))
        base = base or each
        print(
            f"{name:20} {whole['seconds']:8.1f} {start['seconds']:6.1f} {each:8.2f} {cpu:10.2f} {each - base:+10.2f} ms"
        )


class PretendedFleet:
    """See `Workers`: workers that are none, whose messages come when those of real ones would.

    Messages go through the bytes that real ones go through.
    """

    epoch_s = 60.0

    def __init__(self, places: Sequence[Any], task: Any) -> None:
        self._all_places, self._task = places, task
        self._due: list[tuple[float, int, Any, bytes]] = []
        self._count = 0
        self._workers: list[Any] = []
        self._scripts: dict[Any, Iterator[Any]] = {}
        self._weights: dict[str, Any] = {}
        self.messages = 0
        self.own_cpu_s = 0.0

    @property
    def places(self) -> int:
        return len(self._all_places)

    def hire(self) -> Any:
        from cnnsweep.executors.messages import Ready

        if len(self._workers) == len(self._all_places):
            return None
        worker = _Pretender(self._all_places[len(self._workers)], f"worker {len(self._workers)}")
        self._workers.append(worker)
        self._say(worker, Ready(worker.name), len(self._workers) / len(self._all_places) * self.epoch_s)
        return worker

    def send(self, worker: Any, message: Any) -> None:
        from cnnsweep.executors.messages import Train, pack

        pack(message)
        if isinstance(message, Train):
            self._scripts[worker] = self._trains(worker, message)
        next(self._scripts[worker], None)

    def wait(self, seconds: float) -> list[tuple[Any, Any]]:
        from cnnsweep.executors.messages import unpack

        pause = min(seconds, self._due[0][0] - time.monotonic()) if self._due else seconds
        time.sleep(max(pause, 0.0))
        heard = []
        while self._due and self._due[0][0] <= time.monotonic() and len(heard) < 100:
            _, _, worker, content = heapq.heappop(self._due)
            heard.append((worker, unpack(content)))
        self.messages += len(heard)
        return heard

    def dismiss(self, worker: Any) -> None:
        pass

    def close(self) -> None:
        self._due.clear()

    def _say(self, worker: Any, message: Any, after_s: float) -> None:
        from cnnsweep.executors.messages import pack

        before = time.process_time()
        self._count += 1
        heapq.heappush(self._due, (time.monotonic() + after_s, self._count, worker, pack(message)))
        self.own_cpu_s += time.process_time() - before

    def _trains(self, worker: Any, order: Any) -> Iterator[None]:
        """Say what a worker says; it stands still where it waits for decisions."""
        from cnnsweep.executors.messages import BatchesDone, EpochEnded, GroupEnded, RunEnded
        from cnnsweep.types import RunOutcome, RunStatus

        (run,) = order.group.runs
        for epoch in range(1, run.hyperparameters.epochs + 1):
            after_s = order.progress_every_s
            while after_s < self.epoch_s:
                self._say(worker, BatchesDone((run.id,), epoch, 1, 4), after_s)
                after_s += order.progress_every_s
            self._say(worker, EpochEnded((self._epoch(run, epoch),)), self.epoch_s)
            yield
        self._say(worker, RunEnded(RunOutcome(run.id, RunStatus.FINISHED)), 0)
        self._say(worker, GroupEnded(), 0)
        yield

    def _epoch(self, run: Any, epoch: int) -> Any:
        """Return a report with the tensors of the real network, and of Adam."""
        import torch

        from cnnsweep.metrics.names import STANDARD
        from cnnsweep.models.build import build_model
        from cnnsweep.types import EpochRecord, EpochReport

        if not self._weights:
            shape, classes = self._task.images.image_shape, self._task.num_classes
            self._weights = dict(build_model(run.model, shape, classes, seed=0).state_dict())
        weights = self._weights
        moments = {
            number: {"step": torch.tensor(1.0), "exp_avg": weight, "exp_avg_sq": weight}
            for number, weight in enumerate(weights.values())
        }
        group = {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "params": list(moments)}
        metrics = dict(zip(STANDARD, (2.3 / epoch, 0.1, 2.3 / epoch, 0.1), strict=True))
        record = EpochRecord(run.id, epoch, metrics, 1.0, float(epoch), 0.01, 4)
        return EpochReport(record, torch.ones(4), weights, {"state": moments, "param_groups": [group]}, weights)


class _Pretender:
    def __init__(self, place: Any, name: str) -> None:
        self.place, self.name = place, name


def watch_parent(workers: int, seconds: float, epoch_s: float) -> None:
    """Print how memory and CPU of the parent go while so many runs are in flight."""
    import torch._dynamo  # noqa: F401 - before memory is looked at

    from cnnsweep.executors import factory as executor_factory

    fleets: list[PretendedFleet] = []

    def make_fleet(places: Sequence[Any], task: Any) -> PretendedFleet:
        PretendedFleet.epoch_s = epoch_s
        fleets.append(PretendedFleet(places, task))
        return fleets[-1]

    executor_factory.LocalWorkers = make_fleet  # type: ignore[misc,assignment]
    threading.Thread(target=_print_state, args=(fleets, seconds), daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        try:
            run_whole(IN_FLIGHT.format(seeds=list(range(2 * workers))), Path(folder), jobs=workers, threads=1)
        except KeyboardInterrupt:
            print("ended, as asked for")


def _print_state(fleets: list[PretendedFleet], seconds: float) -> None:
    import _thread

    while not fleets:
        time.sleep(0.1)
    start, cpu_before, messages_before = time.monotonic(), time.process_time(), 0
    print("   s   RSS MB   CPU %   messages a second   CPU ms a message")
    while time.monotonic() - start < seconds:
        time.sleep(_EVERY_S)
        cpu, messages = time.process_time() - fleets[0].own_cpu_s, fleets[0].messages
        each = (cpu - cpu_before) * 1e3 / max(1, messages - messages_before)
        rate = (messages - messages_before) / _EVERY_S
        resident = _field_bytes(os.getpid(), "status", "VmRSS:")
        print(f"{time.monotonic() - start:4.0f} {resident / 1e6:8.0f} {(cpu - cpu_before) / _EVERY_S:7.0%} "
              f"{rate:19.1f} {each:18.2f}", flush=True)  # fmt: skip
        cpu_before, messages_before = cpu, messages
    for _ in range(2):  # at once
        _thread.interrupt_main()
        time.sleep(1)


def compare_two(rounds: int) -> None:
    """Print how much faster two processes are than one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    for model, train in WORK.items():
        text = WIDE.format(model=model, train=train)
        ratios, ones, twos = [], [], []
        for _ in range(rounds):
            ones.append(in_fresh_process(text, jobs=1, threads=cores)["seconds"])
            twos.append(in_fresh_process(text, jobs=2, threads=cores // 2)["seconds"])
            ratios.append(ones[-1] / twos[-1])
        print(
            f"{model}: one process {statistics.median(ones):.1f} s, two {statistics.median(twos):.1f} s, "
            f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f}, {rounds} rounds)"
        )


def count_memory(megabytes: int) -> None:
    """Print the memory of all processes, with few images and with many."""
    import torch
    from executors import look_at_all as look_at_all_by_name  # as workers import it: not from `__main__`

    from cnnsweep.datasets.images import MemoryImages
    from cnnsweep.datasets.normalize import PixelNormalize
    from cnnsweep.executors.base import TASK
    from cnnsweep.executors.local_processes import LocalWorkers
    from cnnsweep.executors.pool import PoolExecutor
    from cnnsweep.planning.scheduling import Slot
    from cnnsweep.training.data_module import DataModule, FoldData
    from cnnsweep.training.malloc import keep_freed_memory

    keep_freed_memory()  # as every sweep does
    print("workers   few images   many images   difference, MB in all processes")
    for workers in (1, 2, 4):
        sums = []
        for images in (1, megabytes * 100):
            pixels = torch.ones(images, 1, 100, 100, dtype=torch.uint8)
            part = FoldData(torch.arange(images), torch.arange(0), PixelNormalize((0.5,), (0.25,)))
            labels = torch.zeros(images, dtype=torch.int64)
            task = DataModule(MemoryImages(pixels, labels), (part,), 2, torch.device("cpu"), "fp32")
            del pixels
            pool = PoolExecutor(LocalWorkers([Slot("cpu", 1)] * workers, task))
            processes = {os.getpid(), *pool.call_everywhere(look_at_all_by_name, TASK)}
            assert len(processes) == workers + 1
            fields = ("Pss_Anon:", "Pss_Shmem:")  # without libraries, which other programs may share too
            sums.append(sum(_field_bytes(one, "smaps_rollup", field) for one in processes for field in fields) / 1e6)
            pool.close()
            del task, pool
        print(f"{workers:7} {sums[0]:12.0f} {sums[1]:13.0f} {sums[1] - sums[0]:12.0f}")


def look_at_all(task: Any) -> int:
    """Touch every image; return the process."""
    task.images.images.view(-1)[::1024].max()  # a page of memory has more
    return os.getpid()


def _field_bytes(process: int, file: str, field: str) -> int:
    for line in Path(f"/proc/{process}/{file}").read_text(encoding="utf-8").splitlines():
        if line.startswith(field):
            return 1024 * int(line.split()[1])
    raise ValueError(field)


if __name__ == "__main__":
    main()
