"""The one contract of every side: a task comes in as a JSON file, what was reached goes out as one line of JSON.

A side is a program, `python NAME.py TASK.json`, that calls `serve` with a function which trains the task's runs. So
each is measured from outside, in a process of its own, and none knows what it is compared with.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cnnsweep.datasets import normalize as batches
from cnnsweep.models.build import build_model
from cnnsweep.types import ModelChoice

EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class Task:
    """What a side has to train.

    Attributes:
        images: the file that `load_images` reads.
        model: a model of cnnsweep's, by name.
        arguments: of the model.
        axes: hyperparameters, each a list of values; their product is the runs.
        validation: the share of the images that is held out, for sides that split by themselves.
        out: an empty folder.
        options: the side's own, such as how many processes it uses.
    """

    images: Path
    model: str
    arguments: dict[str, Any]
    axes: dict[str, list[Any]]
    epochs: int
    validation: float
    out: Path
    device: str = "cpu"
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def runs(self) -> list[dict[str, Any]]:
        """Return each run's hyperparameters: lr, batch_size, shuffle, seed."""
        usual = {"shuffle": True, "seed": 0}
        products = itertools.product(*self.axes.values())
        return [{**usual, **dict(zip(self.axes, values, strict=True))} for values in products]


@dataclass(frozen=True)
class Images:
    """(N, C, H, W) uint8 images and (N,) int64 labels, to train on and held out."""

    train: Tensor
    train_labels: Tensor
    held_out: Tensor
    held_out_labels: Tensor


@dataclass(frozen=True)
class Reached:
    """What a side returns: one row a run, and the wall clock's time (`time.time`) when the first run began to train.

    A row is a run's hyperparameters with `loss`, `accuracy` and `val_accuracy` of its last epoch.
    """

    rows: Sequence[dict[str, Any]]
    began: float


def load_images(file: Path) -> Images:
    """Read images as they were prepared, once for all sides."""
    arrays = np.load(file)
    images, labels = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])
    is_held_out = torch.from_numpy(arrays["is_held_out"])
    return Images(images[~is_held_out], labels[~is_held_out], images[is_held_out], labels[is_held_out])


def for_cnnsweep(path: str) -> tuple[tuple[np.ndarray, np.ndarray], None, list[str]]:
    """Return the same images as a data set of a person's own; cnnsweep holds out those that are held out here."""
    arrays = np.load(path)
    return (arrays["images"], arrays["labels"]), None, [str(number) for number in range(int(arrays["classes"]))]


def epoch_order(count: int, run: dict[str, Any], epoch: int) -> Tensor:
    """Return the order in which cnnsweep's run sees its images, so that loops of one's own can be compared closely."""
    return batches.epoch_order(torch.arange(count), run["shuffle"], run["seed"], epoch)


def make_model(task: Task, images: Images, seed: int) -> nn.Module:
    """Return the network that all sides train, with the weights that cnnsweep gives this seed."""
    classes = int(images.train_labels.max()) + 1
    shape = tuple(images.train.shape[1:])
    return build_model(ModelChoice(task.model, task.arguments), shape, classes, seed)


def read_task(file: Path) -> Task:
    values = json.loads(file.read_text(encoding="utf-8"))
    return Task(**{**values, "images": Path(values["images"]), "out": Path(values["out"])})


def serve(train: Callable[[Task], Reached]) -> None:
    """Train the task that the command line names; the clock starts here, after all imports."""
    task = read_task(Path(sys.argv[1]))
    start_clock, start = time.time(), time.perf_counter()
    reached = train(task)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "start_up": reached.began - start_clock, "rows": list(reached.rows)}))
