"""What the searches of time_to_good.py share: the space, its images, and how they say what they have reached.

A search appends one line of JSON to `progress.jsonl` in its folder for every epoch of every trial; whoever started it
looks at `val_accuracy` there, as in cnnsweep's journal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from contract import Images, Task, load_images, make_model
from hand_loop import FoldData, to_floats, train_run

# The ranges of benchmarks/search.py, whose grid says what is reachable.
RATES = (1e-3, 1e-1)
DECAYS = (1e-5, 1e-3)
BATCH_SIZES = [64, 256]
OPTIMIZERS = ["adam", "sgd"]
PROGRESS = "progress.jsonl"


@dataclass(frozen=True)
class SearchTask:
    """A search: over which images, for how many trials of how many epochs at most, with which seed."""

    images: Path
    out: Path
    seed: int
    settings: int
    epochs: int

    @property
    def progress(self) -> Path:
        return self.out / PROGRESS


class Setup:
    """What a process needs to train one trial after the other."""

    def __init__(self, task: SearchTask, images: Images | None = None) -> None:
        self.task = task
        self.images = load_images(task.images) if images is None else images

    @cached_property
    def parts(self) -> tuple[FoldData, FoldData]:
        return to_floats(self.images, standardize=True)

    def train(self, setting: dict[str, Any], report: Callable[[dict[str, float]], None] = lambda _: None) -> float:
        """Train a trial with the hand-tuned loop; return its last accuracy on the images held out.

        Args:
            report: is told of every epoch, and may raise to end the trial.
        """

        def tell(figures: dict[str, float]) -> None:
            append_progress(self.task.progress, figures)
            report(figures)

        model = make_model(Task(self.task.images, "lenet", {}, {}, self.task.epochs, 0, self.task.out), self.images, 0)
        run = {"shuffle": True, "seed": 0, **setting}
        accuracy: float = train_run(model, *self.parts, run, self.task.epochs, tell)["val_accuracy"]
        return accuracy


def append_progress(file: Path, figures: dict[str, float]) -> None:
    with file.open("a", encoding="utf-8") as lines:  # one write a line, so that several processes can append
        lines.write(json.dumps(figures) + "\n")


def read_task() -> SearchTask:
    values = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    return SearchTask(**{**values, "images": Path(values["images"]), "out": Path(values["out"])})


def count_processes() -> int:
    return os.cpu_count() or 1
