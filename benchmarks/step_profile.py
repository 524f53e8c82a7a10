"""What the time of a training step goes into, alone and together, and how near that is to what the machine can do.

    python benchmarks/step_profile.py [--work grid rates] [--threads 1] [--steps 20] [--keep]

For each kind of operation: its share of a step, its arithmetic, and its rate as a share of this machine's rate for
large matrix products, measured in the same minute. Below it what recording an epoch takes. With --keep the steps of all
works go to benchmarks/results/steps.json, for the table and the roofline of docs/benchmarks.md.

The steps are the program's own, with images in memory; what is left after all operations is Python, autograd and
dispatch. Operations are timed as torch hands them out, not by torch's profiler: what that keeps lies between the step's
buffers, so that the allocator must fetch new pages all the time, which doubles the time of a step. (The file is not
called profile.py: that would hide the standard library's module, which torch imports.)
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from benchmark_report import versions, write_report
from side_by_side import about_machine, matrix_product_rate, memory_rate
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cnnsweep.config.load import parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.training.data_module import DataModule, FoldData, training_batches
from cnnsweep.training.fused_learner import FusedLearner
from cnnsweep.training.learner import SingleLearner, forward_seed
from cnnsweep.training.malloc import keep_freed_memory
from cnnsweep.types import Run


@dataclass(frozen=True)
class Work:
    """A model, its images and how many runs of it train together."""

    model: str
    image_shape: tuple[int, int, int]
    batch_size: int
    runs: int


_BATCH_NORM = "channels: [8, 16], kernel_size: 3, padding: same, hidden: [64], batch_norm: true"
# As in works.py: what trains together there, by the size of its batches.
WORKS = {
    "grid": Work("lenet", (1, 28, 28), 100, 4),
    "large_batches": Work("lenet", (1, 28, 28), 1000, 4),
    "rates": Work("lenet", (1, 28, 28), 100, 16),
    "many": Work("lenet", (1, 28, 28), 100, 64),
    "batchnorm": Work(f"{{name: cnn, {_BATCH_NORM}}}", (1, 28, 28), 100, 8),
    "cifar_cnn": Work("cifar_cnn", (3, 32, 32), 64, 4),
    "resnet18": Work("resnet18", (3, 32, 32), 50, 2),
}
# The kinds of operations, by how the names of torch's operators begin; the first that fits.
FAMILIES = {
    "convolution, backward": ("convolution_backward",),
    "convolution, forward": ("convolution",),
    "matrix products": ("mm", "addmm", "bmm", "baddbmm"),
    "pooling": ("max_pool", "avg_pool", "_adaptive", "adaptive"),
    "normalisation": ("native_batch_norm", "_native_batch_norm", "batch_norm"),
    "activations": ("relu", "threshold", "clamp"),
    "loss": ("_log_softmax", "nll_loss", "argmax", "eq", "ones_like"),
    "optimizer": ("_fused", "_foreach"),
    "copies and zeros": ("copy_", "clone", "_to_copy", "new_zeros", "new_empty", "zero", "fill"),
    "sums": ("sum", "add", "div", "mean"),
}
BATCHES = "making batches"
PYTHON = "Python, autograd, dispatch"
HERE = Path(__file__).parent


class OperationTimes(TorchDispatchMode):
    """Adds up time, floating-point operations and bytes of everything that runs inside the context, by family.

    On a CPU an operator has done its work when it returns, so a clock around it tells.

    Attributes:
        moved: bytes of all tensors that operations read or write, each once an operation; caches spare some of it.
        family: what all operations count as while it is set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds: Counter[str] = Counter()
        self.arithmetic: Counter[str] = Counter()
        self.moved: Counter[str] = Counter()
        self.family: str | None = None

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        start = time.perf_counter()
        result = function(*args, **(kwargs or {}))
        spent = time.perf_counter() - start
        name = function.overloadpacket.__name__
        if not function.is_view:
            family = self.family or family_of(name)
            self.seconds[family] += spent
            self.arithmetic[family] += floating_point_operations(name, args, result)
            self.moved[family] += bytes_of((args, kwargs, result))
        return result


def bytes_of(tree: Any) -> int:
    """Return the bytes of the tensors in nested arguments, each counted once."""
    tensors = {id(leaf): leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)}
    return sum(tensor.nbytes for tensor in tensors.values())


def floating_point_operations(name: str, args: Any, result: Any) -> int:
    """Return how many a convolution or matrix product takes, a multiplication and an addition each counted; else 0."""
    if name == "convolution":
        return int(2 * result.numel() * args[1][0].numel())
    if name == "convolution_backward":
        gradient, _, weight = args[:3]
        of_images, of_weight, _ = args[10]
        return int(2 * gradient.numel() * weight[0].numel() * (of_images + of_weight))
    if name in ("mm", "addmm", "bmm", "baddbmm"):
        return int(2 * result.numel() * args[-1].shape[-2])
    return 0


@dataclass(frozen=True)
class Step:
    """A training step of some runs: its median seconds, and what of it each family of operations is."""

    runs: int
    seconds: float
    spent: dict[str, float]
    arithmetic: dict[str, int]
    moved: dict[str, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", choices=WORKS, nargs="+", default=["grid"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--keep", action="store_true", help="all works, for docs/benchmarks.md")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as every sweep does
    rate, memory = matrix_product_rate(), memory_rate()
    print(f"{about_machine()}; matrix products {rate:.0f} GFLOP/s, memory {memory:.0f} GB/s")
    kept: dict[str, list[dict[str, Any]]] = {}
    for name in WORKS if arguments.keep else arguments.work:
        work = WORKS[name]
        for runs in (1, work.runs):
            how = "alone" if runs == 1 else f"{runs} together"
            print(f"\n{name}: {work.model}, {work.image_shape}, batches of {work.batch_size}, {how}", flush=True)
            step = measure_step(work, runs, arguments.steps)
            print_step(step, rate)
            kept.setdefault(name, []).append(asdict(step))
        if not arguments.keep:
            print_recording(work)
    if arguments.keep:
        machine = {"about": about_machine(), "versions": versions(), "gflops": rate, "memory_gb_s": memory}
        (HERE / "results" / "steps.json").write_text(json.dumps({**machine, "works": kept}) + "\n")
        write_report(HERE / "results", HERE.parent / "docs")


def measure_step(work: Work, count: int, steps: int) -> Step:
    """Measure a step of so many runs, by kind of operation."""
    times = OperationTimes()
    step = make_step(runs_of(work, count), work, times)
    for _ in range(3):  # the first ones build the optimizers' state
        step()
    whole = []
    for _ in range(steps):  # in turn, so that both meet the same machine
        whole.append(timed(step))
        with times:
            step()
    seconds = statistics.median(whole)
    spent: dict[str, float] = {family: of_steps / steps for family, of_steps in times.seconds.items()}
    spent[PYTHON] = max(0.0, seconds - sum(spent.values()))
    arithmetic, moved = (
        {family: of_steps // steps for family, of_steps in counted.items()}
        for counted in (times.arithmetic, times.moved)
    )
    return Step(count, seconds, spent, arithmetic, moved)


def print_step(step: Step, rate: float) -> None:
    seconds = step.seconds
    print(f"  {1000 * seconds / step.runs:.2f} ms per run and step, {1000 * seconds:.2f} ms a step")
    print(f"  {'':28s} share      ms   GFLOP  GFLOP/s  of the machine's")
    for family, of_family in sorted(step.spent.items(), key=lambda item: -item[1]):
        print_line(family, of_family, seconds, step.arithmetic.get(family, 0), rate)
    print_line("all", seconds, seconds, sum(step.arithmetic.values()), rate)


def print_line(name: str, spent: float, of_all: float, operations: int, rate: float) -> None:
    speed = operations / spent / 1e9 if spent else math.nan
    figures = f" {operations / 1e9:7.3f} {speed:8.1f} {speed / rate:8.0%}" if operations else ""
    print(f"  {name:28s} {spent / of_all:5.1%} {1000 * spent:7.3f}{figures}")


def family_of(name: str) -> str:
    for family, beginnings in FAMILIES.items():
        if name.startswith(beginnings):
            return family
    return "others"


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def runs_of(work: Work, count: int) -> list[Run]:
    """Return runs that differ in the learning rate, as a sweep file makes them."""
    return list(expand_runs(parse_sweep(sweep_text(work, count, "fashion_mnist"), "profile.yaml", ())).runs)


def sweep_text(work: Work, count: int, dataset: str) -> str:
    rates = [round(0.001 * (1 + number / count), 6) for number in range(count)]
    params = {"lr": rates, "batch_size": work.batch_size, "epochs": 3}
    return f"name: profile\ndataset: {dataset}\nmodel: {work.model}\nparams: {json.dumps(params)}\n"


def make_step(runs: list[Run], work: Work, times: OperationTimes) -> Callable[[], object]:
    """Return a call that makes a batch and trains on it, epoch after epoch; `times` hears which of the two it does."""
    images = 20 * work.batch_size
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, *work.image_shape), generator=random, dtype=torch.uint8)
    labels = torch.randint(0, 10, (images,), generator=random)
    channels = work.image_shape[0]
    part = FoldData(torch.arange(images), torch.arange(0), PixelNormalize((0.5,) * channels, (0.25,) * channels))
    task = DataModule(MemoryImages(pixels, labels), (part,), 10, torch.device("cpu"), "fp32")
    about = (work.image_shape, 10, task.device, task.precision)
    program = SingleLearner(runs[0], *about) if len(runs) == 1 else FusedLearner(runs, *about)
    rates = [run.hyperparameters.lr for run in runs]
    seeds = [forward_seed(run, 1, 0) for run in runs]
    batches = (batch for epoch in range(1, 1 << 30) for batch in training_batches(task, runs, [epoch] * len(runs)))

    def step() -> object:
        times.family = BATCHES
        images, labels = next(batches)
        times.family = None
        return program.train_step(images, labels, rates, seeds)

    return step


def print_recording(work: Work) -> None:
    """Print what writing an epoch down takes, by run, in a sweep of that network on few drawn images."""
    from cnnsweep.progress.plain import PlainDisplay
    from cnnsweep.storage.writer import SweepWriter
    from cnnsweep.sweep import SweepOptions, run_sweep

    channels, height, _ = work.image_shape
    text = sweep_text(work, work.runs, f"{{name: shapes, size: {height}, channels: {channels}, train: 1000, test: 10}}")
    spent: list[float] = []
    write = SweepWriter.writing_epoch

    @contextmanager
    def timed_write(self: Any, reports: Any) -> Iterator[None]:
        start = time.perf_counter()
        with write(self, reports):
            yield
        spent.append((time.perf_counter() - start) / len(reports))

    SweepWriter.writing_epoch = timed_write  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder, Path("/dev/null").open("w", encoding="utf-8") as nowhere:
            spec = parse_sweep(text, "profile.yaml", ())
            run_sweep(spec, SweepOptions(Path(folder), Path(folder), fuse=work.runs), [PlainDisplay(nowhere)])
    finally:
        SweepWriter.writing_epoch = write  # type: ignore[method-assign]
    print(f"\n  recording: {1000 * min(spent):.1f} to {1000 * max(spent):.1f} ms per run and epoch")


if __name__ == "__main__":
    main()
