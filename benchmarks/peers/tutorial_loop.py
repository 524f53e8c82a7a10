"""The tutorial's loop (benchmarks/tutorial.py) on the same images: per-sample loader, TensorBoard, pandas."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pandas as pd
from contract import Reached, Task, load_images, make_model, serve
from documented_loop import measure_accuracy, to_data_sets

sys.path.insert(0, str(Path(__file__).parent.parent))

import tutorial


def train(task: Task) -> Reached:
    images = load_images(task.images)
    train_part, held_out = to_data_sets(images)
    rows, epoch_rows = [], []
    began = time.time()
    for number, run in enumerate(task.runs, start=1):
        found = tutorial.train_run(
            train_part,
            task.out / f"run-{number}",
            number,
            run,
            task.epochs,
            network=make_model(task, images, run["seed"]),
            evaluate=lambda network: {"val_accuracy": measure_accuracy(network, held_out)},
        )
        epoch_rows += found
        rows.append({**run, **{name: found[-1][name] for name in ("loss", "accuracy", "val_accuracy")}})
    pd.DataFrame(epoch_rows).to_csv(task.out / "results.csv")
    return Reached(rows, began)


if __name__ == "__main__":
    serve(train)
