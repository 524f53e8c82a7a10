"""A whole sweep on one page: see what is done, train what is missing, write down everything.

spec → settings (all of a grid, or round by round as a search asks for them) → runs → groups → training
     → journal → tables, checkpoints, TensorBoard, display
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import columns, columns_that_vary, expand_runs
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.summary import describe_data, missing_images
from cnnsweep.evaluation.after_sweep import measure_best_run
from cnnsweep.executors.factory import Workforce, choose_places, choose_sweep_devices, describe_places, wish_for_cluster
from cnnsweep.executors.options import Staff
from cnnsweep.metrics.objective import chance_of
from cnnsweep.progress.base import SweepDisplay, SweepOverview
from cnnsweep.storage.compatibility import refuse_other_sweep, what_changed
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import SweepHistory, read_history
from cnnsweep.storage.writer import Recorder
from cnnsweep.training.malloc import keep_freed_memory
from cnnsweep.tuner.callbacks import Supervisor
from cnnsweep.tuner.failure_limit import MOST_ALIKE, FailureStreak
from cnnsweep.tuner.group_cache import Fuse
from cnnsweep.tuner.grouping import AUTO, keeps_in_step
from cnnsweep.tuner.loop import LegTrainer
from cnnsweep.tuner.preparation import (
    foresee_single_images,
    make_recording_task,
    make_training_task,
    refuse_full_disk,
    sweep_facts,
    validation_facts,
)
from cnnsweep.tuner.pruning import Judge
from cnnsweep.tuner.sampling import Asker
from cnnsweep.tuner.stop_signal import stop_on_signals
from cnnsweep.tuner.trials import Roster
from cnnsweep.types import Run, RunStatus


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """How a sweep is run; none of it changes what a run's result is.

    Attributes:
        folder: the sweep's own folder.
        data_root: where data sets lie.
        overrides: the `--set` texts, for the record.
        retry_failed: train failed and diverged runs again.
        max_runs: how many runs a sweep may have.
        fuse: how runs train together: `auto` measures, `off` trains each alone, a number is the largest group.
        max_failures: after how many runs in a row that fail alike the sweep gives up; 0 is never.
        staff: who trains.
        loading: is told of downloads and decoding, as (what, done, total).
    """

    folder: Path
    data_root: Path
    overrides: tuple[str, ...] = ()
    retry_failed: bool = False
    max_runs: int = 10_000
    fuse: Fuse = AUTO
    max_failures: int = MOST_ALIKE
    staff: Staff = field(default_factory=Staff)
    loading: Callable[[str, int, int], None] | None = None


@dataclass(frozen=True, slots=True)
class SweepResult:
    """How a sweep ended.

    Attributes:
        statuses: by the runs' names.
        interrupted: the exit code, where a signal cut the sweep short or it gave up.
        gave_up: why it did, in words.
    """

    paths: SweepPaths
    statuses: Mapping[str, RunStatus]
    interrupted: int | None
    gave_up: str | None = None

    @property
    def has_failures(self) -> bool:
        return any(status in (RunStatus.FAILED, RunStatus.DIVERGED) for status in self.statuses.values())


def run_sweep(spec: SweepSpec, options: SweepOptions, display: SweepDisplay) -> SweepResult:
    """Train every run of a sweep that its folder does not hold yet.

    Raises:
        CnnSweepError: before anything trains, if the sweep, its data, models, device or folder are not fit for it;
            later only if the folder can no longer be written.
    """
    expansion = expand_runs(spec, options.max_runs)
    asker = Asker(spec)
    devices = choose_sweep_devices(spec.device, options.staff)
    paths = SweepPaths(options.folder)
    keep_freed_memory()
    with (
        locked(paths) as hold,
        stop_on_signals(display.message) as stop,
        _own_threads(),
        contextlib.ExitStack() as at_end,
    ):
        history = read_history(paths.journal)
        places = choose_places(devices, options.staff, history)
        torch.set_num_threads(places[0].threads)
        roster = Roster(spec, options.retry_failed, expansion.runs, asker, history)
        dataset = load_dataset(spec.dataset_choice, options.data_root, options.loading)
        _say_what_was_found(spec, dataset, display)
        facts = sweep_facts(spec, roster.runs, dataset, places, options.overrides)
        refuse_other_sweep(paths, history, facts, dataset.fingerprint_before)
        parameters = roster.count_parameters(dataset)
        task = make_training_task(spec, dataset, devices[0])
        foreseen = foresee_single_images(roster.not_done, task)
        cluster = wish_for_cluster(spec, roster.runs, dataset, options.staff, places[0].threads, history)
        in_step = keeps_in_step(spec)
        tell = display.note if cluster is None else display.message
        workforce = Workforce(options.staff, places, task, in_step=in_step, tell=tell, cluster=cluster)
        at_end.callback(workforce.close)
        small = asker.space_note if asker.runs_to_come(history) else None
        full = refuse_full_disk(paths.folder, roster.not_done, parameters, task, spec.tensorboard)
        special = [*what_changed(history, facts), *foreseen, small, full]
        _say_what_is_special(expansion.duplicates, history, special, display)
        roster.tell_of_models(roster.runs, dataset, display)
        recorded = make_recording_task(spec, dataset, task, [run.settings for run in history.runs.values()])
        recorder = Recorder(paths, history, recorded, display.message, stop.deferred, hold)
        try:
            facts |= validation_facts(task)
            recorder.begin_sweep(facts, [(run, parameters[run.id]) for run in roster.runs])
            recorder.settle(roster.runs)
            failures = FailureStreak(options.max_failures)
            supervisor = Supervisor(recorder, display, stop, Judge(spec.early_stop, history), failures)
            who = workforce.description or describe_places(places)
            display.sweep_started(_overview(spec, paths, who, roster.runs, history, asker.runs_to_come(history)))
            how = (task, options.fuse, in_step, asker.asks_in_passing)
            trainer = LegTrainer(*how, history, workforce, supervisor, everyone=lambda: roster.runs)
            with contextlib.closing(workforce), supervisor.work_may_fail(), contextlib.suppress(KeyboardInterrupt):
                supervisor.judge.add_runs(roster.runs)
                under_way = trainer.finish_leg(roster.take_missing())
                while not supervisor.is_stopping:
                    is_asked = roster.ask(dataset, recorder, display)
                    under_way += roster.take_missing()
                    if not under_way and not is_asked:
                        break
                    supervisor.judge.add_runs(roster.runs)
                    under_way = trainer.train_leg(under_way)
            with stop.deferred():
                supervisor.interrupt()
                is_whole = roster.is_whole
                recorder.finish("finished" if is_whole else "interrupted")
            if is_whole and not stop.is_made:
                with _may_fail(display), contextlib.suppress(KeyboardInterrupt):
                    measure_best_run(paths, roster.runs, dataset, task, recorder.writing)
        finally:
            recorder.close()
    statuses = {run.name: history.runs[run.id].status for run in roster.runs}
    if is_whole:
        return SweepResult(paths, statuses, None)
    if stop.is_made or failures.reason is None:
        return SweepResult(paths, statuses, stop.exit_code)
    return SweepResult(paths, statuses, 1, failures.reason)


@contextlib.contextmanager
def _own_threads() -> Iterator[None]:
    """Give a notebook the number of threads back that it had before the sweep."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _may_fail(display: SweepDisplay) -> Iterator[None]:
    """Let a sweep whose results are safe end well, whatever becomes of what is made of them."""
    try:
        yield
    except Exception as error:  # a person's own model may raise anything, and memory may run out
        display.message(f"the best run was not measured by class ({type(error).__name__}: {error})")


def _say_what_was_found(spec: SweepSpec, dataset: Dataset, display: SweepDisplay) -> None:
    splits = dataset.split(spec.validation, spec.folds, spec.seed)
    for line in describe_data(dataset, splits):
        display.note(line)
    for line in missing_images(dataset, splits):
        display.message(line)


def _say_what_is_special(
    duplicates: int, history: SweepHistory, special: Sequence[str | None], display: SweepDisplay
) -> None:
    if history.sweep is not None and history.status == "running":
        display.message(
            "the last command in this folder was cut off (killed, or the machine went down); "
            "every run goes on after its last saved epoch"
        )
    if duplicates == 1:
        display.message("1 combination repeats another and is trained once")
    elif duplicates:
        display.message(f"{duplicates:,} combinations repeat others and are trained once")
    for line in special:
        if line is not None:
            display.message(line)


def _overview(
    spec: SweepSpec,
    paths: SweepPaths,
    who: str,
    runs: Sequence[Run],
    history: SweepHistory,
    runs_to_come: int,
) -> SweepOverview:
    known = history.runs.values()  # all in the folder: a search may ask again for what an earlier one had
    return SweepOverview(
        name=spec.name,
        folder=str(paths.folder),
        device=who,
        columns=tuple(columns_that_vary(spec) or columns(spec)),
        runs=tuple(runs),
        objective=spec.objective,
        history={run.id: tuple(run.records) for run in known if run.records},
        outcomes={run.id: run.outcome for run in known if run.outcome is not None},
        runs_to_come=runs_to_come,
        elapsed_before=history.elapsed,
        elapsed=lambda: history.elapsed,
        chance=None if history.sweep is None else chance_of(history.sweep),
    )
