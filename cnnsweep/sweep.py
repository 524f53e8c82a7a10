"""A whole sweep on one page: read the state, train what is missing, write everything.

sweep file → trials (all of a grid, or as a sampler suggests them) → runs → groups → training
     → callbacks: journal, checkpoints and tables, trackers, display
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from cnnsweep.callbacks import INFO, Callback, SweepOverview
from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import columns, columns_that_vary, expand_runs
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.summary import describe_data
from cnnsweep.evaluation.after_sweep import evaluate_best_run
from cnnsweep.evaluation.model_card import make_model_card
from cnnsweep.executors.factory import executor_config, open_executor, take_slots
from cnnsweep.executors.options import ExecutorOptions
from cnnsweep.storage.overview import make_overview
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import SweepState
from cnnsweep.storage.sweep_folder import SweepFolder
from cnnsweep.training.data_module import DataModule
from cnnsweep.training.process_settings import training_process
from cnnsweep.tuner.callbacks import CallbackList
from cnnsweep.tuner.failure_limit import MOST_ALIKE
from cnnsweep.tuner.group_cache import AUTO, Fuse
from cnnsweep.tuner.label_summary import LabelSummary, summarize_labels
from cnnsweep.tuner.loop import Tuner
from cnnsweep.tuner.make_callbacks import make_callbacks
from cnnsweep.tuner.make_trackers import make_trackers
from cnnsweep.tuner.sampling import TrialSource
from cnnsweep.tuner.stop_signal import stop_on_signals
from cnnsweep.tuner.sweep_event import sweep_facts
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
        executor_options: see `ExecutorOptions`.
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
        callbacks: the display and the user's own, in the order in which they get the events; those of the sweep file
            come after them.

    Raises:
        CnnSweepError: before anything trains, if the sweep, its data, models, device or folder are not fit for it;
            later only if the folder can no longer be written.
        Exception: the error of a user's callback, after the sweep has stopped because of it.
    """
    named, source = expand_runs(spec, options.max_runs), TrialSource(spec)
    config = executor_config(options.executor_options)
    devices = config.devices(spec.device)
    events = CallbackList(callbacks, options.max_failures, make_callbacks(spec))
    with SweepFolder.open(options.folder) as folder, stop_on_signals(events.on_log) as stop, training_process():
        state = folder.read_state()
        slots = take_slots(config, devices, state)
        trials = TrialQueue(spec, named, source, state, retry_failed=options.retry_failed)
        dataset, labels = _load_dataset(spec, options, events)
        facts = sweep_facts(spec, trials.runs, dataset, labels, slots, options.overrides)
        changes = folder.check_compatible(state, facts, dataset.fingerprint_before)
        trials.check_models(dataset)
        data = DataModule.load(spec, dataset, devices[0])
        events.log_each([*changes, *data.metric_warnings(spec), *trials.check_pending(data, folder.paths.folder)])
        trackers, context = make_trackers(spec, dataset, data, folder.paths, state, facts)
        model_card = partial(make_model_card, spec, dataset, data)
        with (
            open_executor(config, spec, trials.runs, dataset, data, slots, state, events.on_log) as executors,
            folder.open_writer(state, model_card, events.on_log, stop.deferred) as writer,
            closing(events),
        ):
            writer.begin_sweep(facts, trials.runs, trials.parameters)
            events.add_first(writer, trackers, context)
            events.rewind(writer.settle(trials.runs))
            training = TrainingEvents(writer, events, stop, spec.early_stop)
            events.on_sweep_start(_overview(spec, folder.paths, executors.description, trials, state))
            tuner = Tuner(trials, data, executors, training, fuse=options.fuse)
            tuner.run()
            if tuner.is_complete:
                evaluate_best_run(folder.paths, trials.runs, dataset, data, writer.writing, events.on_log)
    events.raise_error()
    return _result(folder.paths, trials, training)


def _load_dataset(spec: SweepSpec, options: SweepOptions, events: CallbackList) -> tuple[Dataset, LabelSummary]:
    """Load the data set, and log its size, its parts, its classes, and the images that it lacks."""
    dataset = load_dataset(spec.dataset_choice, options.data_root, options.loading, seed=spec.seed)
    splits = dataset.split(spec.validation, spec.folds, spec.seed)
    labels = summarize_labels(spec, dataset, splits)
    for line in (*describe_data(dataset, splits), *labels.lines):
        events.on_log(line, INFO)
    events.log_each(labels.warnings)
    return dataset, labels


def _overview(spec: SweepSpec, paths: SweepPaths, device: str, trials: TrialQueue, state: SweepState) -> SweepOverview:
    return make_overview(
        state,
        folder=str(paths.folder),
        device=device,
        columns=columns_that_vary(spec) or columns(spec),
        runs=trials.runs,
        runs_to_come=trials.to_come,
    )


def _result(paths: SweepPaths, trials: TrialQueue, training: TrainingEvents) -> SweepResult:
    known, stop, failures = training.writer.history.runs, training.stop, training.callbacks.failures
    statuses = {run.name: known[run.id].status for run in trials.runs}
    if trials.is_complete:
        return SweepResult(paths, statuses, None)
    if stop.is_made or failures.reason is None:
        return SweepResult(paths, statuses, stop.exit_code)
    return SweepResult(paths, statuses, 1, failures.reason)
