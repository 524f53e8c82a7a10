"""What recording all metrics adds to an epoch of the tutorial's grid, alone and together.

    python benchmarks/metrics.py [--data-root data] [--rounds 5] [--threads 1] [--images 60000]

Fashion-MNIST, the tutorial's network of two convolutions, lr × batch_size × shuffle, a tenth held out. Each round
trains an epoch without further metrics and one with all of them, in turn, the first of both alternating; printed are
the medians, and the time inside the metrics' own code as a share of the epoch. On a CPU it is processor time, which
other processes disturb less. Goal: below 2 %.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch
from side_by_side import about_machine

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.datasets.load import load_dataset
from cnnsweep.training.data_module import DataModule
from cnnsweep.training.malloc import keep_freed_memory
from cnnsweep.training.metric_sums import MetricSums
from cnnsweep.training.trainer import train_group
from cnnsweep.types import Run, RunGroup

SWEEP = """
name: metrics
dataset: fashion_mnist
model: lenet
params: {lr: [0.01, 0.001], batch_size: [100, 1000], shuffle: [true, false], epochs: 1}
metrics: [METRICS]
"""
AVERAGES = [f"{average}_{kind}" for average in ("macro", "weighted", "micro") for kind in ("f1", "precision", "recall")]
OTHERS = ["balanced_accuracy", "kappa", "mcc", "top_5", "auroc", "average_precision", "nll", "ece", "brier"]


class Silent:
    """A callback of the trainer that does nothing."""

    def on_batch_end(self, *_: Any) -> None: ...

    def on_epoch_end(self, _: Any) -> dict[str, Any]:
        return {}

    def on_resume(self, _: Any) -> dict[str, Any]:
        return {}

    def on_run_end(self, _: Any) -> None: ...


def all_metrics(classes: tuple[str, ...]) -> list[str]:
    of_classes = [f"{kind}[{name}]" for kind in ("f1", "precision", "recall") for name in classes]
    return [*AVERAGES, *OTHERS, *of_classes]


def clock(device: torch.device) -> float:
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


@contextmanager
def timed(device: torch.device) -> Iterator[list[float]]:
    """Add up the time inside `MetricSums`."""
    spent: list[float] = []
    originals = {name: getattr(MetricSums, name) for name in ("__init__", "add", "values")}

    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*args: Any, **kwargs: Any) -> Any:
            start = clock(device)
            try:
                return call(*args, **kwargs)
            finally:
                spent.append(clock(device) - start)

        return measured

    for name, call in originals.items():
        setattr(MetricSums, name, around(call))
    try:
        yield spent
    finally:
        for name, call in originals.items():
            setattr(MetricSums, name, call)


def seconds_of(groups: list[list[Run]], task: DataModule) -> tuple[float, float]:
    """Return the seconds of an epoch of all groups, and of them those inside the metrics."""
    with timed(task.device) as spent:
        start = clock(task.device)
        for runs in groups:
            group = RunGroup((tuple((run,) for run in runs),))
            train_group(group, task, Silent(), {})
        return clock(task.device) - start, sum(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--images", type=int, default=60_000, help="of Fashion-MNIST, a tenth held out")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tasks, runs = load(options.data_root, options.images, device)
    by_size: dict[int, list[Run]] = {}
    for run in runs:
        by_size.setdefault(run.hyperparameters.batch_size, []).append(run)
    print(f"{about_machine()}; {options.images:,} images, {options.rounds} rounds", flush=True)
    for title, groups in (("fused", list(by_size.values())), ("alone", [[run] for run in runs])):
        compare(title, groups, tasks, options.rounds)


def load(data_root: Path, images: int, device: torch.device) -> tuple[dict[str, DataModule], list[Run]]:
    """Return the data without further metrics and with all, and the runs of the grid."""
    spec = parse_sweep(SWEEP.replace("METRICS", ""), "metrics.yaml")
    dataset = load_dataset(spec.dataset_choice, data_root)
    names = ", ".join(f'"{name}"' for name in all_metrics(dataset.classes))
    every = parse_sweep(SWEEP.replace("METRICS", names), "metrics.yaml")
    task = DataModule.load(every, dataset, device)
    part = task.parts[0]
    shorter = dataclasses.replace(
        part, training=part.training[: images * 9 // 10], validation=part.validation[: images // 10]
    )
    task = dataclasses.replace(
        task, parts=(shorter,), images=task.images.to(device) if device.type == "cuda" else task.images
    )
    return {"none": dataclasses.replace(task, metrics=()), "all": task}, list(expand_runs(spec, 100).runs)


def compare(title: str, groups: list[list[Run]], tasks: dict[str, DataModule], rounds: int) -> None:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for number in range(rounds + 1):  # the first is for warming up
        order = list(tasks) if number % 2 else list(reversed(tasks))
        for name in order:
            seconds = seconds_of(groups, tasks[name])
            if number:
                found[name].append(seconds)
    whole = {name: median(epoch for epoch, _ in times) for name, times in found.items()}
    inside = {name: median(metrics for _, metrics in times) for name, times in found.items()}
    more = median(now[0] / before[0] for before, now in zip(found["none"], found["all"], strict=True)) - 1
    share = (inside["all"] - inside["none"]) / whole["none"]
    print(
        f"{title}: epoch {whole['none']:.2f} s, with {len(tasks['all'].metrics)} metrics {whole['all']:.2f} s "
        f"({more:+.1%} in pairs); inside metrics {inside['none']:.3f} s and {inside['all']:.3f} s: {share:+.2%} of it",
        flush=True,
    )


if __name__ == "__main__":
    main()
