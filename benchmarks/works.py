"""What is measured: which networks on which images, which runs, by which sides."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, replace
from typing import Any

FASHION = "fashion_mnist"
COLOURED = "cifar10"
VALIDATION = 0.1  # cnnsweep's default, held out by all sides
RATES = [0.0003, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.007, 0.01]
Axes = dict[str, list[Any]]


@dataclass(frozen=True)
class Side:
    """One way to do the work.

    Attributes:
        title: as tables call it.
        script: in benchmarks/peers, without `.py`.
        in_turn: a few runs tell how long many take: it trains one after the other, or, on every core, one after the
            other.
        draws_order: shuffles images by itself; the others see them in the order of cnnsweep's runs.
        options: of the script.
        environment: variables of its process.
    """

    title: str
    script: str
    in_turn: bool = False
    draws_order: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


# PyTorch's tuning guide (docs.pytorch.org/tutorials/recipes/recipes/tuning_guide.html) advises an allocator that keeps
# freed memory; these make glibc's do so, without anything to install.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}

CORES = os.cpu_count() or 1
AUTOMATIC = "cnnsweep"  # what the others are compared with
REFERENCE = "cnnsweep_off"  # whose accuracies the others must reach
SIDES = {
    "tutorial": Side("tutorial's loop", "tutorial_loop", in_turn=True, draws_order=True),
    "lightning": Side("PyTorch Lightning", "lightning_trainer", in_turn=True, draws_order=True),
    "ray_tune": Side("Ray Tune", "ray_tune", in_turn=True, draws_order=True),
    "ray_tune_hand": Side("Ray Tune, hand-tuned loop", "ray_tune", in_turn=True, options={"loop": "hand"}),
    "optuna": Side("Optuna", "optuna_grid", in_turn=True, draws_order=True),
    "optuna_hand": Side("Optuna, hand-tuned loop", "optuna_grid", in_turn=True, options={"loop": "hand"}),
    "vmap": Side("torch.func, vmap", "vmap_ensemble"),
    "hand": Side("hand-tuned loop", "hand_tuned", in_turn=True, environment=KEEP_MEMORY),
    "hand_processes": Side(
        f"hand-tuned, {CORES} processes", "hand_tuned", options={"processes": CORES}, environment=KEEP_MEMORY
    ),
    "hand_compiled": Side("hand-tuned, compiled", "hand_tuned", options={"compile": True}, environment=KEEP_MEMORY),
    "cnnsweep_off": Side("cnnsweep --fuse off", "cnnsweep_command", options={"command": ["--fuse", "off"]}),
    "cnnsweep_jobs": Side(
        f"cnnsweep --jobs {CORES} --fuse off",
        "cnnsweep_command",
        options={"command": ["--jobs", str(CORES), "--fuse", "off"]},
    ),
    "cnnsweep_ray": Side("cnnsweep --executor ray", "cnnsweep_command", options={"command": ["--executor", "ray"]}),
    AUTOMATIC: Side("cnnsweep", "cnnsweep_command"),
}
NOT_BY_DEFAULT = {"hand_compiled"}  # a minute of compiling for a fraction of a minute of training
GROWTH_SIDES = ("hand", "hand_processes", "vmap", AUTOMATIC)
# Those of a loop per run, which is what is left where nothing small can be gained by training together.
LOOP_SIDES = ("lightning", "ray_tune", "optuna", "hand", "hand_processes", REFERENCE, AUTOMATIC)
ONE_MACHINE_SIDES = tuple(name for name in SIDES if name not in ("cnnsweep_jobs", "cnnsweep_ray"))


@dataclass(frozen=True)
class Work:
    """One thing to train.

    Attributes:
        images: how many there are, those held out included.
        few: the axes on which sides that train run after run are measured.
        share: of the time for all works.
        growth: what grows from work to work of one family, and how far it is here.
        sides: who does it.
    """

    title: str
    dataset: str
    images: int
    model: str
    axes: Axes
    epochs: int
    few: Axes
    share: float
    arguments: dict[str, Any] = field(default_factory=dict)
    growth: tuple[str, int] | None = None
    sides: tuple[str, ...] = tuple(SIDES)

    def __post_init__(self) -> None:
        # Accuracies are compared over the runs that both sides trained.
        assert all(set(values) <= set(self.axes[axis]) for axis, values in self.few.items()), self.title

    @property
    def trained_images(self) -> int:
        return self.images - round(self.images * VALIDATION)


def count_runs(axes: Axes) -> int:
    return math.prod(len(values) for values in axes.values())


def quick(work: Work) -> Work:
    """Return the same work made tiny, to see whether everything works; its figures mean nothing."""
    runs = 2 if work.growth is None else count_runs(work.axes)
    axes = work.axes if runs > 2 else {axis: values[: 2 if axis == "lr" else 1] for axis, values in work.axes.items()}
    few = {axis: values[:1] for axis, values in axes.items()}
    return replace(work, images=60 if work.model == "resnet18" else 1000, axes=axes, few=few, epochs=1)


def rates(count: int) -> list[float]:
    """Return so many learning rates, evenly spaced from 0.0003 to 0.01 on a logarithmic scale."""
    low, high = math.log(RATES[0]), math.log(RATES[-1])
    return [round(math.exp(low + (high - low) * i / max(1, count - 1)), 7) for i in range(count)]


def _growing_runs(count: int) -> Work:
    return Work(
        f"{count} run{'s' if count > 1 else ''} of 1 epoch on 4,000 images, batches of 100",
        *(FASHION, 4000, "lenet"),
        {"lr": rates(count), "batch_size": [100]},
        1,
        {"lr": rates(count)[:: max(1, count // 8)], "batch_size": [100]},
        share=0.01 * (1 + count / 64),
        growth=("runs", count),
        sides=GROWTH_SIDES,
    )


def _growing_parameters(width: int) -> Work:
    return Work(
        f"8 runs of 1 epoch on 4,000 images, LeNet {width} time{'s' if width > 1 else ''} as wide",
        *(FASHION, 4000, "lenet"),
        {"lr": RATES, "batch_size": [100]},
        1,
        {"lr": RATES[::4], "batch_size": [100]},
        share=0.01 * (1 + width / 4),
        arguments={"channels": [6 * width, 12 * width], "hidden": [120 * width, 60 * width]},
        growth=("width", width),
        sides=GROWTH_SIDES,
    )


def _longer_epochs(images: int) -> Work:
    return Work(
        f"cifar_cnn: 2 runs of 1 epoch on {images:,} images, batches of 64",
        *(COLOURED, images, "cifar_cnn"),
        {"lr": [0.001, 0.002], "batch_size": [64]},
        1,
        {"lr": [0.001, 0.002], "batch_size": [64]},
        share=0.01 * (1 + images / 5000),
        growth=("images", images),
        sides=("hand", "hand_processes", AUTOMATIC),
    )


WORKS = {
    "grid": Work(
        "The tutorial's grid: 8 runs of 3 epochs, batches of 100 and 1000",
        *(FASHION, 20_000, "lenet"),
        {"lr": [0.01, 0.001], "batch_size": [100, 1000], "shuffle": [True, False]},
        3,
        {"lr": [0.001], "batch_size": [100, 1000], "shuffle": [True]},
        share=0.26,
    ),
    "rates": Work(
        "16 runs of 2 epochs: 8 learning rates, 2 seeds, batches of 100",
        *(FASHION, 15_000, "lenet"),
        {"lr": RATES, "seed": [0, 1], "batch_size": [100]},
        2,
        {"lr": [0.001, 0.005], "seed": [0], "batch_size": [100]},
        share=0.18,
        sides=ONE_MACHINE_SIDES,
    ),
    "many": Work(
        "64 runs of 1 epoch: 16 learning rates, 4 seeds, batches of 100",
        *(FASHION, 10_000, "lenet"),
        {"lr": rates(16), "seed": [0, 1, 2, 3], "batch_size": [100]},
        1,
        {"lr": rates(16)[5::7], "seed": [0, 1], "batch_size": [100]},
        share=0.16,
        sides=tuple(name for name in ONE_MACHINE_SIDES if name != "vmap"),  # over a minute of it
    ),
    "batchnorm": Work(
        "A small CNN with batch norm: 8 runs of 1 epoch, batches of 100",
        *(FASHION, 20_000, "cnn"),
        {"lr": RATES, "batch_size": [100]},
        1,
        {"lr": [0.001, 0.005], "batch_size": [100]},
        share=0.1,
        sides=ONE_MACHINE_SIDES,
        arguments={"channels": [8, 16], "kernel_size": 3, "padding": "same", "hidden": [64], "batch_norm": True},
    ),
    "cifar_cnn": Work(
        "cifar_cnn at 32×32: 4 runs of 1 epoch, batches of 64",
        *(COLOURED, 5000, "cifar_cnn"),
        {"lr": [0.0005, 0.001, 0.002, 0.003], "batch_size": [64]},
        1,
        {"lr": [0.001, 0.002], "batch_size": [64]},
        share=0.09,
    ),
    "resnet18": Work(
        "ResNet-18 at 32×32: 2 runs of 1 epoch, batches of 50",
        *(COLOURED, 1000, "resnet18"),
        {"lr": [0.0005, 0.001], "batch_size": [50]},
        1,
        {"lr": [0.0005, 0.001], "batch_size": [50]},
        share=0.12,
        sides=LOOP_SIDES,
    ),
    **{f"growth_runs_{count}": _growing_runs(count) for count in (1, 4, 16, 64, 256)},
    **{f"growth_width_{width}": _growing_parameters(width) for width in (1, 2, 4, 8)},
    **{f"growth_images_{images}": _longer_epochs(images) for images in (5000, 15_000, 50_000)},
}


def chosen_works(names: list[str]) -> dict[str, Work]:
    """Return works by their names; the name of a family, such as `growth`, means all of it."""
    return {
        name: work for name, work in WORKS.items() if any(name == one or name.startswith(f"{one}_") for one in names)
    }
