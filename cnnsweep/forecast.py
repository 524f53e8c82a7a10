"""What a sweep would do and take, without training it: groups, reasons, time, memory, disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from cnnsweep.asking import Asker
from cnnsweep.data.datasets import load_dataset
from cnnsweep.errors import ModelError
from cnnsweep.grouping import Fuse, choose_groups, keeps_in_step
from cnnsweep.planning.cost import Forecast, GroupCost, disk_bytes, group_seconds
from cnnsweep.preparation import count_parameters, make_training_task
from cnnsweep.recording.history import read_history
from cnnsweep.recording.paths import SweepPaths
from cnnsweep.spec.expand import expand_runs
from cnnsweep.spec.schema import SweepSpec
from cnnsweep.training.devices import choose_device, describe_device
from cnnsweep.training.footprint import run_bytes
from cnnsweep.training.memory import keep_freed_memory


@dataclass(frozen=True, slots=True)
class ForecastOptions:
    """See `SweepOptions`."""

    folder: Path
    data_root: Path
    fuse: Fuse
    max_runs: int
    loading: Callable[[str, int, int], None] | None = None


def forecast_sweep(spec: SweepSpec, options: ForecastOptions) -> Forecast:
    """Measure a few steps of each kind of run and say what the sweep would take; nothing is written.

    Raises:
        CnnSweepError: the sweep, its data, models or device are not fit for training.
    """
    runs = expand_runs(spec, options.max_runs).runs
    asker = Asker(spec)
    device = choose_device(spec.device)
    keep_freed_memory()
    history = read_history(SweepPaths(options.folder).journal)
    if history.sweep is not None:
        torch.set_num_threads(history.sweep["threads"])
    runs = (*runs, *asker.known_runs(history))
    asked = asker.ask(history, runs)  # what a search would begin with stands for what it will ask for later
    to_come = asker.runs_to_come(history)
    if asked is not None:
        runs, to_come = (*runs, *asked.runs), to_come - len(asked.runs)
    dataset = load_dataset(spec.dataset_choice, options.data_root, options.loading)
    parameters = count_parameters(runs, dataset)
    task = make_training_task(spec, dataset, device)
    missing = [run for run in runs if run.id not in history.runs or not history.runs[run.id].status.is_final]
    epochs_done = {run.id: len(history.runs[run.id].records) for run in missing if run.id in history.runs}
    costs = []
    in_step = keeps_in_step(spec)
    for planned in choose_groups(
        missing, history, task, options.fuse, lambda _: None, measure_all=True, in_step=in_step
    ):
        group = planned.group
        part = task.part(group.runs[0])  # of several folds, others may have an image less
        seconds = group_seconds(group, planned.step_s, len(part.training), len(part.validation), epochs_done)
        try:
            memory = len(group.trajectories) * run_bytes(group.runs[0], task)
        except Exception as error:  # the model's own code: the sweep itself would make a row of it
            raise ModelError(f"model {group.runs[0].model.name}: {type(error).__name__}: {error}") from error
        costs.append(GroupCost(group, planned.why, seconds, memory))
    disk = disk_bytes(missing, parameters, len(task.parts[0].training), histograms=spec.tensorboard.histograms)
    return Forecast(
        name=spec.name,
        device=describe_device(device),
        done=len(runs) - len(missing),
        to_come=to_come,
        stops_early=spec.early_stop is not None,
        groups=tuple(costs),
        measured_disk_bytes=disk,
    )
