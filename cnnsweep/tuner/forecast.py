"""Forecast of a sweep without training it: groups, reasons, time, slots, memory, disk."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import expand_runs
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.summary import describe_data
from cnnsweep.errors import ModelError
from cnnsweep.executors.base import TASK, Executor, ExecutorSetup
from cnnsweep.executors.factory import ExecutorFactory, describe_slots, executor_config, take_slots
from cnnsweep.executors.options import ExecutorOptions
from cnnsweep.executors.pool import PoolExecutor
from cnnsweep.models.check import count_parameters, notes_on_models
from cnnsweep.planning.batching import family, runs_of_a_kind, split_evenly, split_lockstep
from cnnsweep.planning.cost import Forecast, GroupCost, disk_bytes, group_seconds
from cnnsweep.planning.scheduling import Slot
from cnnsweep.planning.simulation import Conditions, simulate
from cnnsweep.planning.stage import keeps_lockstep
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import SweepState, read_state
from cnnsweep.training.autotune import seconds_together
from cnnsweep.training.check_steps import check_steps
from cnnsweep.training.data_module import DataModule, foresee_single_images
from cnnsweep.training.devices import choose_devices
from cnnsweep.training.memory_estimate import run_bytes
from cnnsweep.training.process_settings import training_process
from cnnsweep.tuner.group_cache import OFF, Fuse, PlannedGroup
from cnnsweep.tuner.grouping import choose_groups, foreseen_job
from cnnsweep.tuner.label_summary import summarize_labels
from cnnsweep.tuner.sampling import TrialSource
from cnnsweep.types import Run, RunGroup, Trajectory

_MOST_KINDS = 5  # kinds of groups whose steps are measured while all slots train; others follow from these
_SIDE_BY_SIDE_S = 1.0  # duration of such a measurement, so that processes that start at once overlap


@dataclass(frozen=True, slots=True)
class ForecastOptions:
    """See `SweepOptions`."""

    folder: Path
    data_root: Path
    fuse: Fuse
    max_runs: int
    executor_options: ExecutorOptions = field(default_factory=ExecutorOptions)
    loading: Callable[[str, int, int], None] | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """The known runs of a sweep, and those of them that are not done.

    Attributes:
        to_come: the number of runs that a sampler will still suggest.
        note: see `TrialSource.space_note`.
        epochs_done: epochs of the missing runs, by id.
    """

    history: SweepState
    runs: tuple[Run, ...]
    to_come: int
    note: str | None
    missing: tuple[Run, ...]
    epochs_done: Mapping[str, int]


def forecast_sweep(spec: SweepSpec, options: ForecastOptions) -> Forecast:
    """Measure a few steps of each kind of run, and return time, memory and disk of the sweep; nothing is written.

    Raises:
        CnnSweepError: the sweep, its data, models or devices are not fit for training.
    """
    known = _known_runs(spec, options)
    with training_process():
        slots = take_slots(executor_config(options.executor_options), choose_devices(spec.device), known.history)
        return _measure(spec, options, known, slots)


def forecast_from_cost(spec: SweepSpec, options: ForecastOptions, seconds: float) -> Forecast:
    """Return the time of the sweep from a given time per run and epoch; without data and measurements.

    Groups are of the size that `--fuse` gives; without a number each run trains alone.

    Raises:
        CnnSweepError: the sweep or its devices are not fit for training.
    """
    known = _known_runs(spec, options)
    slots = executor_config(options.executor_options).choose_slots(choose_devices(spec.device), known.history)
    lockstep = keeps_lockstep(spec)
    missing, epochs_done = known.missing, known.epochs_done
    size = options.fuse if isinstance(options.fuse, int) else 1
    kinds = runs_of_a_kind(missing, epochs_done)
    if options.fuse == OFF:
        kinds = [[(run,) for runs in kind for run in runs] for kind in kinds]
    groups: list[RunGroup] = []
    if lockstep:
        families: dict[str, list[list[Trajectory]]] = {}
        for kind in kinds:
            families.setdefault(family(kind[0][0]), []).append(kind)
        groups = [group for of_family in families.values() for group in split_lockstep(of_family, size)]
    else:
        groups = [group for kind in kinds for group in split_evenly(kind, size)]
    # As if an epoch were a single step.
    costs = [GroupCost(group, "as given", group_seconds(group, seconds, 1, 0, epochs_done), None) for group in groups]
    return _forecast(spec, known, slots, costs, None, Conditions({}), given_s=seconds)


def _known_runs(spec: SweepSpec, options: ForecastOptions) -> _Known:
    runs = expand_runs(spec, options.max_runs).runs
    trial_source = TrialSource(spec)
    history = read_state(SweepPaths(options.folder).journal)
    runs = (*runs, *trial_source.known_runs(history))
    asked = trial_source.ask(history, runs)  # the first round stands for later ones
    to_come = trial_source.runs_to_come(history)
    if asked is not None:
        runs, to_come = (*runs, *asked.runs), to_come - len(asked.runs)
    begun = history.runs
    missing = tuple(run for run in runs if run.id not in begun or not begun[run.id].status.is_final)
    epochs_done = {run.id: len(begun[run.id].records) for run in missing if run.id in begun}
    return _Known(history, runs, to_come, trial_source.space_note, missing, epochs_done)


def _measure(spec: SweepSpec, options: ForecastOptions, known: _Known, slots: Sequence[Slot]) -> Forecast:
    dataset = load_dataset(spec.dataset_choice, options.data_root, options.loading, seed=spec.seed)
    splits = dataset.split(spec.validation, spec.folds, spec.seed)
    labels = summarize_labels(spec, dataset, splits)
    about = dataset.train.image_shape, len(dataset.classes)
    parameters = count_parameters(known.runs, *about)
    task = DataModule.load(spec, dataset, torch.device(slots[0].device))
    missing = known.missing
    check_steps(spec, missing, task)
    foreseen = foresee_single_images(missing, task)
    lockstep = keeps_lockstep(spec)
    setup = ExecutorSetup(task, tuple(slots), lockstep, info=lambda _: None, warning=lambda _: None)
    executor_factory = ExecutorFactory(executor_config(options.executor_options), setup)
    with contextlib.closing(executor_factory):
        executor = executor_factory.executor
        startup_s = 0.0
        if isinstance(executor, PoolExecutor) and missing:
            began = time.perf_counter()
            # Until all workers have trained a little, steps take longer than they will.
            executor.call_everywhere(seconds_together, missing[:1], TASK, _SIDE_BY_SIDE_S)
            startup_s = max(0.0, time.perf_counter() - began - _SIDE_BY_SIDE_S)
        planned = choose_groups(
            missing,
            known.history,
            task,
            options.fuse,
            lambda _: None,
            measure_all=True,
            lockstep=lockstep,
            executor=executor,
        )
        planned = _while_all_train(planned, slots, executor)
    costs = [_cost(one, task, known) for one in planned]
    tasks = {place: DataModule.load(spec, dataset, torch.device(place.device)) for place in set(slots)}
    conditions = Conditions(_speeds(planned, slots, tasks), startup_s)
    disk = disk_bytes(missing, parameters, len(task.parts[0].training), histograms=spec.tensorboard.histograms)
    notes = [
        *labels.warnings,
        *notes_on_models([run.model for run in known.runs], *about, is_multi_label=dataset.is_multi_label),
        *task.metric_warnings(spec),
        *foreseen,
    ]
    forecast = _forecast(spec, known, slots, costs, disk, conditions, notes=notes)
    data = (*describe_data(dataset, splits), *labels.lines)
    return dataclasses.replace(forecast, data=data, counts=labels.counts, baselines=labels.baselines)


def _forecast(
    spec: SweepSpec,
    known: _Known,
    slots: Sequence[Slot],
    costs: Sequence[GroupCost],
    disk: int | None,
    conditions: Conditions,
    given_s: float | None = None,
    notes: Sequence[str] = (),
) -> Forecast:
    forecast = Forecast(
        name=spec.name,
        device=describe_slots(slots),
        done=len(known.runs) - len(known.missing),
        to_come=known.to_come,
        stops_early=spec.early_stop is not None,
        groups=tuple(costs),
        measured_disk_bytes=disk,
        epochs_done=known.epochs_done,
        lockstep=keeps_lockstep(spec),
        slots=tuple(slots),
        given_s=given_s,
        notes=(*([] if known.note is None else [known.note]), *notes),
    )
    if len(slots) == 1 or all(cost.seconds is None for cost in costs):
        return forecast
    return dataclasses.replace(forecast, schedule=simulate(forecast.jobs, slots, conditions, forecast.epochs_done))


def _cost(one: PlannedGroup, task: DataModule, known: _Known) -> GroupCost:
    seconds = foreseen_job(one, task, known.epochs_done).seconds
    run = one.group.runs[0]
    try:
        memory = len(one.group.trajectories) * run_bytes(run, task)
    except Exception as error:  # the model's own code: the sweep itself would make a row of it
        raise ModelError(f"model {run.model.name}: {type(error).__name__}: {error}") from error
    return GroupCost(one.group, one.why, seconds, memory)


def _while_all_train(planned: Sequence[PlannedGroup], slots: Sequence[Slot], executor: Executor) -> list[PlannedGroup]:
    """Return the groups with the time of a step while all slots train, if several share a device."""
    is_shared = len({place.device for place in slots}) < len(slots)
    if not is_shared or not isinstance(executor, PoolExecutor):
        return list(planned)
    measured: dict[tuple[str, int], float] = {}
    slower: list[float] = []
    for one in planned:
        runs = [members[-1] for members in one.group.programs[0]]
        kind = (family(runs[0]), len(runs))
        if one.step_s is None or one.group.is_threaded or kind in measured or len(measured) == _MOST_KINDS:
            continue
        at_once = executor.call_everywhere(seconds_together, runs, TASK, _SIDE_BY_SIDE_S)
        measured[kind] = statistics.median(at_once)
        slower.append(measured[kind] / one.step_s)

    def steady(one: PlannedGroup) -> float | None:
        program = one.group.programs[0]
        known = None if one.group.is_threaded else measured.get((family(program[0][0]), len(program)))
        if known is not None or one.step_s is None or not slower:
            return known if known is not None else one.step_s
        return one.step_s * statistics.median(slower)

    return [dataclasses.replace(one, step_s=steady(one)) for one in planned]


def _speeds(planned: Sequence[PlannedGroup], slots: Sequence[Slot], tasks: dict[Slot, DataModule]) -> dict[str, float]:
    """Return the speed of each kind of slot, relative to the first."""
    kinds = {place.kind: place for place in slots}
    if not planned or len(kinds) == 1:
        return {}
    run = planned[0].group.runs[0]
    step_s = {kind: seconds_together([run], tasks[place]) for kind, place in kinds.items()}
    return {kind: step_s[slots[0].kind] / seconds for kind, seconds in step_s.items()}
