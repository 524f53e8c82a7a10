"""A whole sweep on one page: see what is done, train what is missing, write down everything.

spec → settings (all of a grid, or round by round as a search asks for them) → runs → groups → training
     → journal → tables, checkpoints, TensorBoard, display
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cnnsweep.asking import Asker
from cnnsweep.data.datasets import Dataset, load_dataset
from cnnsweep.display.base import SweepDisplay, SweepOverview
from cnnsweep.errors import ModelError
from cnnsweep.execution.base import Executor
from cnnsweep.execution.in_process import InProcessExecutor
from cnnsweep.grouping import AUTO, Fuse, PlannedGroup, choose_groups, conditions, event_from_groups, keeps_in_step
from cnnsweep.interruption import StopRequest, stop_on_signals
from cnnsweep.judging import Judge
from cnnsweep.preparation import count_parameters, make_recording_task, make_training_task, sweep_facts
from cnnsweep.recording.checkpoints import LastCheckpoint
from cnnsweep.recording.continuity import refuse_other_sweep, what_changed
from cnnsweep.recording.history import SweepHistory, read_history
from cnnsweep.recording.lock import locked
from cnnsweep.recording.paths import SweepPaths
from cnnsweep.recording.recorder import Recorder
from cnnsweep.records import Decision, EpochReport, Run, RunGroup, RunOutcome, RunStatus
from cnnsweep.spec.expand import columns, columns_that_vary, expand_runs
from cnnsweep.spec.schema import SweepSpec
from cnnsweep.training.devices import choose_device, describe_device
from cnnsweep.training.memory import keep_freed_memory


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
        loading: is told of downloads and decoding, as (what, done, total).
    """

    folder: Path
    data_root: Path
    overrides: tuple[str, ...] = ()
    retry_failed: bool = False
    max_runs: int = 10_000
    fuse: Fuse = AUTO
    loading: Callable[[str, int, int], None] | None = None


@dataclass(frozen=True, slots=True)
class SweepResult:
    """How a sweep ended: each run's status by its name, and the exit code of the signal that cut it short, if any."""

    paths: SweepPaths
    statuses: Mapping[str, RunStatus]
    interrupted: int | None

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
    device = choose_device(spec.device)
    paths = SweepPaths(options.folder)
    keep_freed_memory()
    with locked(paths), stop_on_signals(display.message) as stop:
        history = read_history(paths.journal)
        _use_same_threads(history)
        roster = _Roster(spec, options.retry_failed, expansion.runs, asker, history)
        dataset = load_dataset(spec.dataset_choice, options.data_root, options.loading)
        facts = sweep_facts(spec, roster.runs, dataset, device, options.overrides)
        refuse_other_sweep(paths, history, facts)
        parameters = roster.count_parameters(dataset)
        task = make_training_task(spec, dataset, device)
        _say_what_is_special(expansion.duplicates, what_changed(history, facts), display)
        recorder = Recorder(paths, history, make_recording_task(spec, dataset, task), display.message)
        try:
            recorder.begin_sweep(facts, [(run, parameters[run.id]) for run in roster.runs])
            judge = Judge(spec.early_stop, history)
            in_step = keeps_in_step(spec)
            grouped_under = conditions(task, options.fuse, in_step=in_step)
            watcher = _SweepWatcher(recorder, display, stop, judge, grouped_under)
            executor: Executor = InProcessExecutor(in_step=in_step)
            display.sweep_started(_overview(spec, paths, device, roster.runs, history, asker.runs_to_come(history)))
            try:
                while not stop.is_made:
                    is_asked = roster.ask(dataset, recorder, display)
                    missing = roster.take_missing()
                    if missing:
                        judge.add_runs(roster.runs)
                        groups = choose_groups(missing, history, task, options.fuse, display.note, in_step=in_step)
                        recorder.record_groups(event_from_groups(groups, grouped_under))
                        executor.execute([planned.group for planned in groups], task, watcher)
                    elif not is_asked:
                        break
            except KeyboardInterrupt:
                watcher.interrupt_running()
            is_whole = roster.is_whole
            recorder.finish("finished" if is_whole else "interrupted")
        finally:
            recorder.close()
    statuses = {run.name: history.runs[run.id].status for run in roster.runs}
    return SweepResult(paths, statuses, None if is_whole else stop.exit_code)


class _Roster:
    """The runs of a sweep: those that its file names, and those that a search has asked for so far."""

    def __init__(
        self, spec: SweepSpec, retry_failed: bool, named: Sequence[Run], asker: Asker, history: SweepHistory
    ) -> None:
        self._early_stop = spec.early_stop
        self._retry_failed = retry_failed
        self._asker = asker
        self._history = history
        self._named = tuple(named)
        self._taken: set[str] = set()  # a command trains each run once, whatever becomes of it, and so comes to an end
        asked = asker.known_runs(history)
        # A file that was edited may name what a search had asked for before.
        self.runs = _with_known_names({run.id: run for run in (*named, *asked)}.values(), history)

    def count_parameters(self, dataset: Dataset) -> Mapping[str, int]:
        """Check the models, and return each run's number of parameters by its id.

        Raises:
            ModelError: one that the file names does not fit. A search may choose some that do not: such a run fails.
        """
        named = count_parameters(self._named, dataset)
        return named | _parameters_if_built([run for run in self.runs if run.id not in named], dataset)

    def ask(self, dataset: Dataset, recorder: Recorder, display: SweepDisplay) -> bool:
        """Take in the next round of a search, if one is due now; return whether one was.

        Raises:
            ModelError: no model of the sweep fits.
        """
        asked = self._asker.ask(self._history, self.runs)
        if asked is None:
            return False
        new = _with_known_names(asked.runs, self._history)  # known from before the space was edited
        parameters = _parameters_if_built(new, dataset)
        if new and not self.runs and not any(parameters.values()):
            count_parameters(new, dataset)  # raises: nothing would ever train
        recorder.record_round(asked.event, [(run, parameters[run.id]) for run in new])
        self.runs = (*self.runs, *new)
        display.runs_added(new, self._asker.runs_to_come(self._history))
        if not new:
            display.message("every setting of the space that is not excluded has been tried")
        return True

    def take_missing(self) -> list[Run]:
        """Return the runs that are to be trained now; none of them twice."""
        missing = [run for run in self.runs if run.id not in self._taken and self._is_missing(run)]
        self._taken.update(run.id for run in missing)
        return missing

    @property
    def is_whole(self) -> bool:
        """True if all runs have ended, and no further ones are to be asked for."""
        have_ended = all(self._history.runs[run.id].status.is_final for run in self.runs)
        return have_ended and not self._asker.runs_to_come(self._history)

    def _is_missing(self, run: Run) -> bool:
        status = self._history.runs[run.id].status
        if status is RunStatus.STOPPED:
            return self._early_stop is None  # who takes the rule out of the file wants them to go on
        return not status.is_final or (self._retry_failed and status in (RunStatus.FAILED, RunStatus.DIVERGED))


class _SweepWatcher:
    """Passes what training reports on to the recorder and the display, and decides when to stop."""

    def __init__(
        self,
        recorder: Recorder,
        display: SweepDisplay,
        stop: StopRequest,
        judge: Judge,
        grouped_under: Mapping[str, Any],
    ) -> None:
        self._recorder = recorder
        self._grouped_under = grouped_under
        self._display = display
        self._stop = stop
        self._judge = judge
        self._running: dict[str, Run] = {}
        self.batches_done = display.batches_done

    def group_starts(self, group: RunGroup) -> Mapping[str, LastCheckpoint] | None:
        if self._stop.is_made:
            return None
        checkpoints = {}
        for run in group.runs:
            self._running[run.id] = run
            last = self._recorder.start_run(run)
            self._judge.run_changed(run.id)
            if last is not None:
                checkpoints[run.id] = last
            self._display.run_started(run.id)
        return checkpoints

    def group_splits(self, parts: Sequence[RunGroup], cause: str) -> None:
        planned = [PlannedGroup(part, f"a larger group failed: {cause}") for part in parts]
        self._recorder.record_groups(event_from_groups(planned, self._grouped_under))
        sizes = " and ".join(str(len(part.trajectories)) for part in parts)
        how = "one by one" if all(len(part.trajectories) == 1 for part in parts) else f"in groups of {sizes}"
        self._display.message(f"{sum(len(part.runs) for part in parts)} runs go on {how}: {cause}")

    def resumed(self, run_ids: Sequence[str]) -> Mapping[str, Decision]:
        return self._decide(run_ids)

    def epoch_ended(self, reports: Sequence[EpochReport]) -> Mapping[str, Decision]:
        for report in reports:
            standing = self._recorder.record_epoch(report)
            self._judge.run_changed(report.record.run_id)
            self._display.epoch_ended(report.record, standing)
        if self._stop.is_made:
            return {report.record.run_id: Decision.INTERRUPT for report in reports}
        # After a crash some of the group may have been there before, and have nothing to report.
        return self._decide(self._recorder.history.at_epoch(reports[0].record.epoch, self._running))

    def _decide(self, run_ids: Sequence[str]) -> Mapping[str, Decision]:
        verdicts = self._judge.new_verdicts(run_ids)
        if verdicts:
            self._recorder.record_verdicts(verdicts)
        return dict.fromkeys(self._judge.stopped(run_ids), Decision.STOP)

    def run_ended(self, outcome: RunOutcome) -> None:
        self._running.pop(outcome.run_id, None)
        if outcome.status is RunStatus.STOPPED:
            outcome = dataclasses.replace(outcome, cause=self._judge.why_stopped(outcome.run_id))
        self._recorder.end_run(outcome)
        self._judge.run_changed(outcome.run_id)
        self._display.run_ended(outcome)

    def interrupt_running(self) -> None:
        for run_id in list(self._running):
            self.run_ended(RunOutcome(run_id, RunStatus.INTERRUPTED, "interrupted in the middle of an epoch"))


def _use_same_threads(history: SweepHistory) -> None:
    """Sums depend on how many threads share them: a resumed sweep uses as many as before, to be equal bit for bit."""
    if history.sweep is not None:
        torch.set_num_threads(history.sweep["threads"])


def _with_known_names(runs: Iterable[Run], history: SweepHistory) -> tuple[Run, ...]:
    """A run keeps its folder, though an edited sweep file would name it differently."""
    known = history.runs
    return tuple(dataclasses.replace(run, name=known[run.id].name) if run.id in known else run for run in runs)


def _parameters_if_built(runs: Sequence[Run], dataset: Dataset) -> dict[str, int]:
    """Return each run's number of parameters, by its id; 0 for a model that does not fit, which fails as it starts."""
    try:
        return count_parameters(runs, dataset)
    except ModelError:
        if len(runs) == 1:
            return {runs[0].id: 0}
        half = len(runs) // 2
        return _parameters_if_built(runs[:half], dataset) | _parameters_if_built(runs[half:], dataset)


def _say_what_is_special(duplicates: int, changes: str | None, display: SweepDisplay) -> None:
    if duplicates:
        display.message(f"{duplicates} combinations repeat others and are trained once")
    if changes is not None:
        display.message(changes)


def _overview(
    spec: SweepSpec,
    paths: SweepPaths,
    device: torch.device,
    runs: Sequence[Run],
    history: SweepHistory,
    runs_to_come: int,
) -> SweepOverview:
    known = [history.runs[run.id] for run in runs]
    return SweepOverview(
        name=spec.name,
        folder=str(paths.folder),
        device=describe_device(device),
        columns=tuple(columns_that_vary(spec) or columns(spec)),
        runs=tuple(runs),
        objective=spec.objective,
        history={run.id: tuple(run.records) for run in known if run.records},
        outcomes={run.id: run.outcome for run in known if run.outcome is not None},
        runs_to_come=runs_to_come,
    )
