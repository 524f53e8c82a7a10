"""The hand-tuned loop over all runs: one after the other, or in several processes of one thread each.

Option `processes`: 1 trains run after run with all threads; more are as many workers with one thread each, which suits
small networks better. Option `compile`: the network goes through `torch.compile` once, and every run's weights into it.
"""

from __future__ import annotations

import csv
import multiprocessing
import time
from typing import Any

import torch
from contract import Reached, Task, load_images, make_model, serve
from hand_loop import FoldData, to_floats, train_run


class Trainer:
    """What a process needs for one run after the other."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.images = load_images(task.images)
        self.train: FoldData
        self.held_out: FoldData
        self.train, self.held_out = to_floats(self.images, task.device)
        self.compiled = None
        if task.options.get("compile"):
            self.compiled = torch.compile(make_model(task, self.images, 0))

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        model = make_model(self.task, self.images, run["seed"])
        if self.compiled is not None:
            # The module beneath, so that the names of its weights are those of the plain one.
            self.compiled._orig_mod.load_state_dict(model.state_dict())
            model = self.compiled
        return train_run(model, self.train, self.held_out, run, self.task.epochs)


_worker: Trainer | None = None


def start_worker(task: Task) -> None:
    global _worker
    torch.set_num_threads(1)
    _worker = Trainer(task)


def train_in_worker(run: dict[str, Any]) -> dict[str, Any]:
    assert _worker is not None
    return _worker.run(run)


def train(task: Task) -> Reached:
    if (processes := task.options.get("processes", 1)) > 1:
        began = time.time()  # forked before torch has started any thread, so there is nothing to wait for
        with multiprocessing.get_context("fork").Pool(processes, start_worker, (task,)) as pool:
            rows = pool.map(train_in_worker, task.runs, chunksize=1)
    else:
        trainer = Trainer(task)
        began = time.time()
        rows = [trainer.run(run) for run in task.runs]
    with (task.out / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return Reached(rows, began)


if __name__ == "__main__":
    serve(train)
