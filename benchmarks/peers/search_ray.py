"""Ray Tune: random search with ASHA, one CPU a trial.

After docs.ray.io/en/latest/tune/api/schedulers.html, which advises ASHA among the schedulers that stop early.
"""

from __future__ import annotations

import logging
from typing import Any

import ray
import torch
from contract import Images, load_images
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator
from search_task import BATCH_SIZES, DECAYS, OPTIMIZERS, RATES, SearchTask, Setup, read_task


def trainable(config: dict[str, Any], images: Images, task: SearchTask) -> None:
    torch.set_num_threads(1)
    Setup(task, images).train(config, lambda figures: tune.report(dict(figures)))


def main() -> None:
    task = read_task()
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    with_data = tune.with_parameters(trainable, images=load_images(task.images), task=task)
    tuner = tune.Tuner(
        tune.with_resources(with_data, {"cpu": 1}),
        param_space={
            "lr": tune.loguniform(*RATES),
            "weight_decay": tune.loguniform(*DECAYS),
            "batch_size": tune.choice(BATCH_SIZES),
            "optimizer": tune.choice(OPTIMIZERS),
        },
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            num_samples=task.params,
            search_alg=BasicVariantGenerator(random_state=task.seed),
            scheduler=ASHAScheduler(max_t=task.epochs, grace_period=1, reduction_factor=3),
        ),
        run_config=tune.RunConfig(storage_path=str(task.out.resolve()), verbose=0),
    )
    tuner.fit()
    ray.shutdown()


if __name__ == "__main__":
    main()
