"""Ray Tune: a function trainable under a Tuner, one CPU a trial, as many trials at once as there are CPUs.

After docs.ray.io/en/latest/tune/api/trainable.html (function trainables, `tune.report` every epoch) and
docs.ray.io/en/latest/tune/api/doc/ray.tune.with_parameters.html (data go to the object store once). Ray gives a worker
of one CPU one thread. The loop inside is that of the documentation's example, or, with option `loop: hand`, the
hand-tuned one.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any

import ray
import torch
from contract import Images, Reached, Task, load_images, make_model, serve
from loops import chosen_loop
from ray import tune


def trainable(config: dict[str, Any], images: Images, task: Task) -> None:
    began = time.time()
    torch.set_num_threads(1)  # as many as CPUs that the trial has
    loop = chosen_loop(task)
    train, held_out = loop.prepare(images, task.device)
    run = {"shuffle": True, "seed": 0, **config}
    model = make_model(task, images, run["seed"])
    loop.train_run(model, train, held_out, run, task.epochs, lambda figures: tune.report({**figures, "began": began}))


def train(task: Task) -> Reached:
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    gpus = 1 / (os.cpu_count() or 1) if task.device == "cuda" else 0
    with_data = tune.with_parameters(trainable, images=load_images(task.images), task=task)
    tuner = tune.Tuner(
        tune.with_resources(with_data, {"cpu": 1, "gpu": gpus}),
        param_space={axis: tune.grid_search(values) for axis, values in task.axes.items()},
        run_config=tune.RunConfig(storage_path=str(task.out.resolve()), verbose=0),
    )
    rows, began = [], []
    for result in tuner.fit():
        if result.error is not None:
            raise result.error
        figures = result.metrics
        began.append(figures["began"])
        run = {"shuffle": True, "seed": 0, **figures["config"]}
        rows.append({**run, **{name: figures[name] for name in ("loss", "accuracy", "val_accuracy")}})
    ray.shutdown()
    return Reached(rows, min(began))


if __name__ == "__main__":
    serve(train)
