"""Random search by hand: trials drawn in advance, trained to the end in as many processes as there are cores."""

from __future__ import annotations

import math
import multiprocessing
import random
from typing import Any

import torch
from search_task import BATCH_SIZES, DECAYS, OPTIMIZERS, RATES, SearchTask, Setup, count_processes, read_task

_setup: Setup | None = None


def draw(generator: random.Random) -> dict[str, Any]:
    def log_uniform(low: float, high: float) -> float:
        return math.exp(generator.uniform(math.log(low), math.log(high)))

    return {
        "lr": log_uniform(*RATES),
        "weight_decay": log_uniform(*DECAYS),
        "batch_size": generator.choice(BATCH_SIZES),
        "optimizer": generator.choice(OPTIMIZERS),
    }


def start_worker(task: SearchTask) -> None:
    global _setup
    torch.set_num_threads(1)
    _setup = Setup(task)


def train_in_worker(setting: dict[str, Any]) -> float:
    assert _setup is not None
    return _setup.train(setting)


def main() -> None:
    task = read_task()
    generator = random.Random(task.seed)
    settings = [draw(generator) for _ in range(task.params)]
    with multiprocessing.get_context("fork").Pool(count_processes(), start_worker, (task,)) as pool:
        pool.map(train_in_worker, settings, chunksize=1)


if __name__ == "__main__":
    main()
