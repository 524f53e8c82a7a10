"""Optuna: a study over the grid, in several processes that share one journal file.

After optuna.readthedocs.io/en/stable/tutorial/10_key_features/004_distributed.html: threads (`n_jobs`) suit objectives
that leave Python's lock alone, several processes with a common storage suit the others. Each has one thread. The
GridSampler ends the study by itself; processes may train the last trials twice, and both count as Optuna's time.
The loop inside is that of Optuna's own example, or, with option `loop: hand`, the hand-tuned one.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import optuna
import torch
from contract import Reached, Task, load_images, make_model, serve
from loops import chosen_loop
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

STUDY = "grid"
FIGURES = ("loss", "accuracy", "val_accuracy")


def storage(task: Task) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(Path(task.out, "journal.log"))))


def optimize(task: Task, seed: int) -> None:
    """Try trials of the grid until none is left; what one of the processes does."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    images = load_images(task.images)
    loop = chosen_loop(task)
    train, held_out = loop.prepare(images, task.device)

    def objective(trial: optuna.Trial) -> float:
        trial.set_user_attr("began", time.time())
        chosen = {axis: trial.suggest_categorical(axis, values) for axis, values in task.axes.items()}
        run = {"shuffle": True, "seed": 0, **chosen}
        model = make_model(task, images, run["seed"])
        row = loop.train_run(model, train, held_out, run, task.epochs)
        for name in FIGURES:
            trial.set_user_attr(name, row[name])
        return row["val_accuracy"]

    sampler = optuna.samplers.GridSampler(task.axes, seed=seed)
    optuna.load_study(study_name=STUDY, storage=storage(task), sampler=sampler).optimize(objective)


def train(task: Task) -> Reached:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name=STUDY, storage=storage(task), direction="maximize")
    context = multiprocessing.get_context("fork")  # before torch has started any thread
    processes = [context.Process(target=optimize, args=(task, number)) for number in range(os.cpu_count() or 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a process of Optuna's ended with {process.exitcode}")
    usual = {"shuffle": True, "seed": 0}
    trials = {tuple(trial.params.items()): trial for trial in study.trials if trial.state.name == "COMPLETE"}
    rows = [{**usual, **t.params, **{name: t.user_attrs[name] for name in FIGURES}} for t in trials.values()]
    return Reached(rows, min(trial.user_attrs["began"] for trial in study.trials))


if __name__ == "__main__":
    serve(train)
