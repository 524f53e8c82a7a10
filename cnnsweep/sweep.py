"""A whole sweep on one page: read the state, train what is missing, write everything.

sweep file → trials (all of a grid, or as a sampler suggests them) → runs → groups → training
     → callbacks: journal, checkpoints and tables, trackers, display
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from cnnsweep.callbacks import INFO, Callback, SweepOverview
from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import Expansion, columns, columns_that_vary, expand_runs
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.summary import describe_data, missing_images
from cnnsweep.evaluation.after_sweep import evaluate_best_run
from cnnsweep.evaluation.model_card import make_model_card
from cnnsweep.executors.factory import ExecutorFactory, describe_slots, executor_config, make_executor_setup
from cnnsweep.executors.options import ExecutorOptions
from cnnsweep.planning.disk_space import refuse_full_disk
from cnnsweep.storage.compatibility import refuse_other_sweep, what_changed
from cnnsweep.storage.lock import locked
from cnnsweep.storage.overview import make_overview
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import SweepState, read_state
from cnnsweep.storage.writer import SweepWriter
from cnnsweep.trackers.base import Tracker
from cnnsweep.training.data_module import foresee_single_images, make_data_module
from cnnsweep.training.malloc import keep_freed_memory
from cnnsweep.training.threads import keep_thread_count
from cnnsweep.tuner.callbacks import CallbackList
from cnnsweep.tuner.failure_limit import MOST_ALIKE, FailureLimit
from cnnsweep.tuner.group_cache import Fuse
from cnnsweep.tuner.grouping import AUTO, keeps_lockstep
from cnnsweep.tuner.loop import Tuner
from cnnsweep.tuner.make_trackers import make_trackers
from cnnsweep.tuner.pruning import PrunerDriver
from cnnsweep.tuner.sampling import TrialSource
from cnnsweep.tuner.stop_signal import stop_on_signals
from cnnsweep.tuner.sweep_event import sweep_facts, validation_facts
from cnnsweep.tuner.training_events import TrainingEvents
from cnnsweep.tuner.trials import TrialQueue
from cnnsweep.types import RunStatus


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """Options of a command that trains; none of them changes the result of a run.

    Attributes:
        folder: the sweep's own folder.
        data_root: the folder of the data sets.
        overrides: the `--set` texts, for the record.
        retry_failed: train failed and diverged runs again.
        max_runs: the most runs that a sweep may have.
        fuse: `auto` measures, `off` trains each run alone, a number is the size of the largest group.
        max_failures: the number of consecutive runs with the same failure after which the sweep stops; 0 is never.
        staff: the executor's options.
        loading: called with the progress of downloads and decoding: name, done, total.
    """

    folder: Path
    data_root: Path
    overrides: tuple[str, ...] = ()
    retry_failed: bool = False
    max_runs: int = 10_000
    fuse: Fuse = AUTO
    max_failures: int = MOST_ALIKE
    executor_options: ExecutorOptions = field(default_factory=ExecutorOptions)
    loading: Callable[[str, int, int], None] | None = None


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The end of a command that trains.

    Attributes:
        statuses: by the runs' names.
        interrupted: the exit code if the sweep was stopped before its end.
        gave_up: the repeated failure that stopped it, if one did.
    """

    paths: SweepPaths
    statuses: Mapping[str, RunStatus]
    interrupted: int | None
    gave_up: str | None = None

    @property
    def has_failures(self) -> bool:
        return any(status in (RunStatus.FAILED, RunStatus.DIVERGED) for status in self.statuses.values())


def run_sweep(spec: SweepSpec, options: SweepOptions, callbacks: Sequence[Callback] = ()) -> SweepResult:
    """Train every run of a sweep that its folder does not hold yet.

    Args:
        callbacks: the display and the user's own, in the order in which they get the events.

    Raises:
        CnnSweepError: before anything trains, if the sweep, its data, models, device or folder are not fit for it;
            later only if the folder can no longer be written.
        Exception: the error of a user's callback, after the sweep has stopped because of it.
    """
    expansion = expand_runs(spec, options.max_runs)
    source = TrialSource(spec)
    executor = executor_config(options.executor_options)
    devices = executor.devices(spec.device)
    paths = SweepPaths(options.folder)
    failures = FailureLimit(options.max_failures)
    own_trackers = [one for one in callbacks if isinstance(one, Tracker)]
    events = CallbackList([*(one for one in callbacks if one not in own_trackers), failures])
    keep_freed_memory()
    with (
        locked(paths) as hold,
        stop_on_signals(events.on_log) as stop,
        keep_thread_count(),
        contextlib.ExitStack() as at_end,
    ):
        state = read_state(paths.journal)
        slots = executor.choose_slots(devices, state)
        torch.set_num_threads(slots[0].threads)
        trials = TrialQueue(spec, options.retry_failed, expansion.runs, source, state)
        dataset = load_dataset(spec.dataset_choice, options.data_root, options.loading)
        _log_data(spec, dataset, events)
        facts = sweep_facts(
            spec, trials.runs, dataset.name, dataset.fingerprint, [place.device for place in slots], options.overrides
        )
        refuse_other_sweep(paths, state, facts, dataset.fingerprint_before)
        parameters = trials.count_parameters(dataset)
        task = make_data_module(spec, dataset, devices[0])
        single_images = foresee_single_images(trials.not_done, task)
        lockstep = keeps_lockstep(spec)
        setup = make_executor_setup(
            spec, trials.runs, dataset.fingerprint, task, slots, state, events.on_log, lockstep=lockstep
        )
        executors = ExecutorFactory(executor, setup)
        at_end.callback(executors.close)
        images, histograms = len(task.parts[0].training), spec.tensorboard.histograms
        small_disk = refuse_full_disk(paths.folder, trials.not_done, parameters, images, histograms=histograms)
        small_space = source.space_note if trials.to_come else None
        _log_notes(expansion, state, [*what_changed(state, facts), *single_images, small_space, small_disk], events)
        trials.log_models(trials.runs, dataset, events.on_log)

        trackers, followed = make_trackers(spec, dataset, task, paths, state, facts)
        describe = partial(make_model_card, spec, dataset, task)
        writer = SweepWriter(paths, state, describe, events.on_log, stop.deferred, hold)
        at_end.callback(writer.close)
        at_end.callback(events.close)
        facts |= validation_facts(task.images.labels, [part.validation for part in task.parts])
        writer.begin_sweep(facts, [(run, parameters[run.id]) for run in trials.runs])
        events.add_first(writer, [*trackers, *own_trackers], followed)
        for run, last in writer.settle(trials.runs):
            events.on_rewind(run, last)
        training = TrainingEvents(writer, events, stop, PrunerDriver(spec.early_stop, state), failures)
        events.on_sweep_start(_overview(spec, paths, executors.description or describe_slots(slots), trials, state))
        suggest = partial(trials.suggest, dataset, writer, events)
        Tuner(trials, suggest, task, executors, training, fuse=options.fuse, lockstep=lockstep).run()
        with stop.deferred():
            training.interrupt()
            events.on_sweep_end("finished" if trials.is_complete else "interrupted")
        if trials.is_complete and not training.is_interrupted:
            with _may_fail(events), contextlib.suppress(KeyboardInterrupt):
                evaluate_best_run(paths, trials.runs, dataset, task, writer.writing)
    if events.error is not None:
        raise events.error
    statuses = {run.name: state.runs[run.id].status for run in trials.runs}
    if trials.is_complete:
        return SweepResult(paths, statuses, None)
    if stop.is_made or failures.reason is None:
        return SweepResult(paths, statuses, stop.exit_code)
    return SweepResult(paths, statuses, 1, failures.reason)


@contextlib.contextmanager
def _may_fail(events: Callback) -> Iterator[None]:
    """Let a sweep end well if its results are safe, whatever is raised by what is made of them."""
    try:
        yield
    except Exception as error:  # the user's model may raise anything, and memory may run out
        events.on_log(f"the best run was not measured by class ({type(error).__name__}: {error})")


def _log_data(spec: SweepSpec, dataset: Dataset, events: Callback) -> None:
    splits = dataset.split(spec.validation, spec.folds, spec.seed)
    for line in describe_data(dataset, splits):
        events.on_log(line, INFO)
    for line in missing_images(dataset, splits):
        events.on_log(line)


def _log_notes(expansion: Expansion, state: SweepState, notes: Sequence[str | None], events: Callback) -> None:
    if state.sweep is not None and state.status == "running":
        events.on_log(
            "the last command in this folder was cut off (killed, or the machine went down); "
            "every run goes on after its last saved epoch"
        )
    if expansion.duplicates == 1:
        events.on_log("1 combination repeats another and is trained once")
    elif expansion.duplicates:
        events.on_log(f"{expansion.duplicates:,} combinations repeat others and are trained once")
    for line in notes:
        if line is not None:
            events.on_log(line)


def _overview(spec: SweepSpec, paths: SweepPaths, device: str, trials: TrialQueue, state: SweepState) -> SweepOverview:
    return make_overview(
        state,
        folder=str(paths.folder),
        device=device,
        columns=columns_that_vary(spec) or columns(spec),
        runs=trials.runs,
        runs_to_come=trials.to_come,
    )
