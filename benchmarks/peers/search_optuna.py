"""Optuna: TPE with its pruner of choice, in as many processes as there are cores, which share a journal file.

After optuna.readthedocs.io/en/stable/tutorial/10_key_features/003_efficient_optimization_algorithms.html, which advises
Hyperband as the pruner for TPE, and 004_distributed.html (processes with a common storage).
"""

from __future__ import annotations

import multiprocessing

import optuna
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback
from search_task import BATCH_SIZES, DECAYS, OPTIMIZERS, RATES, SearchTask, Setup, count_processes, read_task

STUDY = "search"


def storage(task: SearchTask) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(task.out / "journal.log")))


def optimize(task: SearchTask, number: int) -> None:
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    setup = Setup(task)

    def objective(trial: optuna.Trial) -> float:
        setting = {
            "lr": trial.suggest_float("lr", *RATES, log=True),
            "weight_decay": trial.suggest_float("weight_decay", *DECAYS, log=True),
            "batch_size": trial.suggest_categorical("batch_size", BATCH_SIZES),
            "optimizer": trial.suggest_categorical("optimizer", OPTIMIZERS),
        }
        epochs = iter(range(1, task.epochs + 1))

        def report(figures: dict[str, float]) -> None:
            trial.report(figures["val_accuracy"], next(epochs))
            if trial.should_prune():
                raise optuna.TrialPruned

        return setup.train(setting, report)

    study = optuna.load_study(
        study_name=STUDY,
        storage=storage(task),
        sampler=optuna.samplers.TPESampler(seed=1000 * task.seed + number),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=task.epochs, reduction_factor=3),
    )
    study.optimize(objective, callbacks=[MaxTrialsCallback(task.params, states=None)])


def main() -> None:
    task = read_task()
    optuna.create_study(study_name=STUDY, storage=storage(task), direction="maximize")
    context = multiprocessing.get_context("fork")  # before torch has started any thread
    processes = [context.Process(target=optimize, args=(task, number)) for number in range(count_processes())]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a process of Optuna's ended with {process.exitcode}")


if __name__ == "__main__":
    main()
