"""A whole sweep on one page: read what was done, train what is missing, write down everything.

spec → runs → groups → training → journal → tables, checkpoints, TensorBoard, display
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import cnnsweep
from cnnsweep.data.batches import pixel_scale
from cnnsweep.data.datasets import Dataset, load_dataset
from cnnsweep.data.splits import split_indices
from cnnsweep.display.base import SweepDisplay, SweepOverview
from cnnsweep.errors import FolderError
from cnnsweep.execution.in_process import InProcessExecutor
from cnnsweep.interruption import StopRequest, stop_on_signals
from cnnsweep.models.registry import build_model, check_model
from cnnsweep.planning.groups import plan_groups
from cnnsweep.recording.checkpoints import LastCheckpoint
from cnnsweep.recording.environment import describe_environment
from cnnsweep.recording.files import replace_file, to_json
from cnnsweep.recording.history import SweepHistory, read_history
from cnnsweep.recording.lock import locked
from cnnsweep.recording.paths import SweepPaths
from cnnsweep.recording.recorder import Recorder, RecordingTask
from cnnsweep.recording.tensorboard import BoardContent, make_graph, make_image_grid
from cnnsweep.records import Decision, EpochReport, Run, RunGroup, RunOutcome, RunStatus
from cnnsweep.spec.expand import expand_runs
from cnnsweep.spec.load import dump_spec
from cnnsweep.spec.schema import SweepSpec
from cnnsweep.training.devices import choose_device, describe_device
from cnnsweep.training.memory import keep_freed_memory
from cnnsweep.training.trainer import TrainingTask

_SAMPLE_IMAGES = 32


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """How a sweep is run; none of it changes what a run's result is.

    Attributes:
        folder: the sweep's own folder.
        data_root: where data sets lie.
        overrides: the `--set` texts, for the record.
        retry_failed: train failed and diverged runs again.
        max_runs: how many runs a sweep may have.
        loading: is told of downloads and decoding, as (what, done, total).
    """

    folder: Path
    data_root: Path
    overrides: tuple[str, ...] = ()
    retry_failed: bool = False
    max_runs: int = 10_000
    loading: Callable[[str, int, int], None] | None = None


@dataclass(frozen=True, slots=True)
class SweepResult:
    """How a sweep ended: the state of every run, and the signal's exit code if it was interrupted."""

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
    paths = SweepPaths(options.folder)
    runs = expand_runs(spec, options.max_runs).runs
    device = choose_device(spec.device)
    with locked(paths), stop_on_signals(display.message) as stop:
        history = read_history(paths.journal)
        keep_freed_memory()
        _use_same_threads(history)
        dataset = load_dataset(spec.dataset_choice, options.data_root, options.loading)
        facts = _sweep_facts(spec, dataset, device, options)
        _refuse_other_sweep(paths, history, facts)
        runs = _with_known_names(runs, history)
        parameters = _check_models(runs, dataset)
        task = _training_task(spec, dataset, device)
        _write_down(paths, spec, dataset, device, display)
        recorder = Recorder(paths, history, _recording_task(spec, dataset, task), display.message)
        try:
            recorder.begin_sweep(**facts)
            for run in runs:
                recorder.announce(run, parameters[run.id])
            display.sweep_started(_overview(spec, paths, device, runs, history))
            missing = [run for run in runs if _is_missing(history, run, options.retry_failed)]
            watcher = _SweepWatcher(recorder, display, stop)
            try:
                InProcessExecutor().execute(plan_groups(missing), task, watcher)
            except KeyboardInterrupt:
                watcher.interrupt_running()
            is_whole = all(history.runs[run.id].status.is_final for run in runs)
            recorder.finish("finished" if is_whole else "interrupted")
        finally:
            recorder.close()
    statuses = {run.name: history.runs[run.id].status for run in runs}
    return SweepResult(paths, statuses, None if is_whole else stop.exit_code)


class _SweepWatcher:
    """Passes what training reports on to the recorder and the display, and decides when to stop."""

    def __init__(self, recorder: Recorder, display: SweepDisplay, stop: StopRequest) -> None:
        self._recorder = recorder
        self._display = display
        self._stop = stop
        self._running: dict[str, Run] = {}
        self.batches_done = display.batches_done

    def group_starts(self, group: RunGroup) -> Mapping[str, LastCheckpoint] | None:
        if self._stop.is_made:
            return None
        checkpoints = {}
        for run in group.runs:
            last = self._recorder.resume(run)
            if last is not None:
                checkpoints[run.id] = last
            self._recorder.start(run)
            self._display.run_started(run.id)
            self._running[run.id] = run
        return checkpoints

    def epoch_ended(self, reports: Sequence[EpochReport]) -> Sequence[Decision]:
        for report in reports:
            is_best = self._recorder.record_epoch(report)
            self._display.epoch_ended(report.record, is_best)
        return [Decision.INTERRUPT if self._stop.is_made else Decision.CONTINUE] * len(reports)

    def run_ended(self, outcome: RunOutcome) -> None:
        self._running.pop(outcome.run_id, None)
        self._recorder.end_run(outcome)
        self._display.run_ended(outcome)

    def interrupt_running(self) -> None:
        for run_id in list(self._running):
            self.run_ended(RunOutcome(run_id, RunStatus.INTERRUPTED, "interrupted in the middle of an epoch"))


def _is_missing(history: SweepHistory, run: Run, retry_failed: bool) -> bool:
    status = history.runs[run.id].status
    return not status.is_final or (retry_failed and status in (RunStatus.FAILED, RunStatus.DIVERGED))


def _use_same_threads(history: SweepHistory) -> None:
    """Sums depend on how many threads share them: a resumed sweep uses as many as before, to be equal bit for bit."""
    if history.sweep is not None:
        torch.set_num_threads(history.sweep["threads"])


def _sweep_facts(spec: SweepSpec, dataset: Dataset, device: torch.device, options: SweepOptions) -> dict[str, Any]:
    """Return what the journal says of this command; tables and later resumes read it."""
    return {
        "name": spec.name,
        "description": spec.description,
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        "model": spec.model_name,
        "validation": spec.validation,
        "seed": spec.seed,
        "metric": spec.objective.metric,
        "mode": spec.objective.mode,
        "precision": spec.precision,
        "normalize": dataclasses.asdict(spec.dataset_choice.normalize),
        "device": str(device),
        "threads": torch.get_num_threads(),
        "overrides": list(options.overrides),
        "spec": dump_spec(spec),
    }


# What makes the figures of two runs comparable; all else may change between two commands on one folder.
_MUST_AGREE = ("name", "dataset", "fingerprint", "normalize", "validation", "seed", "metric", "mode", "precision")


def _refuse_other_sweep(paths: SweepPaths, history: SweepHistory, facts: Mapping[str, Any]) -> None:
    if history.sweep is None:
        if paths.folder.is_dir() and any(p for p in paths.folder.iterdir() if not p.name.startswith(".lock")):
            raise FolderError(f"{paths.folder}: holds other files and no journal; choose another folder with --out")
        return
    # Through JSON, since a tuple comes back from the journal as a list.
    changed = [key for key in _MUST_AGREE if to_json(history.sweep[key]) != to_json(facts[key])]
    if changed:
        differences = "; ".join(f"{key} was {history.sweep[key]}, is now {facts[key]}" for key in changed)
        raise FolderError(
            f"{paths.folder}: holds a sweep whose results cannot be compared with this one ({differences}); choose "
            "another folder with --out or another name, or start over with --fresh"
        )


def _with_known_names(runs: Sequence[Run], history: SweepHistory) -> tuple[Run, ...]:
    """A run keeps its folder, though an edited sweep file would name it differently."""
    return tuple(
        dataclasses.replace(run, name=history.runs[run.id].name) if run.id in history.runs else run for run in runs
    )


def _check_models(runs: Sequence[Run], dataset: Dataset) -> dict[str, int]:
    """Send a dummy batch through every distinct model; return each run's number of parameters."""
    checked: dict[str, int] = {}
    parameters = {}
    for run in runs:
        key = to_json(dataclasses.asdict(run.model))
        if key not in checked:
            checked[key] = check_model(run.model, dataset.train.image_shape, len(dataset.classes))
        parameters[run.id] = checked[key]
    return parameters


def _training_task(spec: SweepSpec, dataset: Dataset, device: torch.device) -> TrainingTask:
    training, validation = split_indices(dataset.train.labels, spec.validation, spec.seed)
    pixels = pixel_scale(spec.dataset_choice.normalize, dataset.train, training)
    return TrainingTask(dataset.train, training, validation, pixels, len(dataset.classes), device, spec.precision)


def _recording_task(spec: SweepSpec, dataset: Dataset, task: TrainingTask) -> RecordingTask:
    board = spec.tensorboard

    @functools.cache
    def graph_of(model: str) -> Any:
        run = by_model[model]
        return make_graph(build_model(run.model, dataset.train.image_shape, len(dataset.classes), seed=0), shape)

    by_model: dict[str, Run] = {}
    shape = dataset.train.image_shape

    def graph(run: Run) -> Any:
        if not board.graph:
            return None
        key = to_json(dataclasses.asdict(run.model))
        by_model.setdefault(key, run)
        return graph_of(key)

    def describe(run: Run) -> Mapping[str, Any]:
        return {
            "cnnsweep": cnnsweep.__version__,
            "sweep": spec.name,
            "settings": dict(run.settings),
            "model": {"name": run.model.name, "arguments": dict(run.model.arguments)},
            "image_shape": list(shape),
            "classes": list(dataset.classes),
            "pixels": {"mean": list(task.pixels.mean), "std": list(task.pixels.std)},
            "dataset": {"name": spec.dataset_choice.name, "arguments": dict(spec.dataset_choice.arguments)},
            "fingerprint": dataset.fingerprint,
            "split": {"validation": spec.validation, "seed": spec.seed},
            "precision": spec.precision,
        }

    images = None
    if board.enabled and board.images:
        first = task.training[:_SAMPLE_IMAGES]
        images = make_image_grid(next(dataset.train.batches([first], torch.device("cpu")))[0])
    content = BoardContent(board.batch_loss, board.histograms, board.hparams) if board.enabled else None
    return RecordingTask(content, describe, graph, images)


def _write_down(
    paths: SweepPaths, spec: SweepSpec, dataset: Dataset, device: torch.device, display: SweepDisplay
) -> None:
    """Freeze the spec beside the results: what is edited while a sweep runs changes nothing."""
    frozen = dump_spec(spec)
    if paths.frozen_spec.exists() and (before := paths.frozen_spec.read_text(encoding="utf-8")) != frozen:
        display.message(_what_changed(before, frozen))
    replace_file(paths.frozen_spec, frozen)
    environment = {**describe_environment(), "device": describe_device(device), "data_sha256": dataset.fingerprint}
    replace_file(paths.environment, to_json(environment, indent=2) + "\n")


def _what_changed(before: str, after: str) -> str:
    old, new = before.splitlines(), after.splitlines()
    lines = [f"- {line.strip()}" for line in old if line not in new]
    lines += [f"+ {line.strip()}" for line in new if line not in old]
    return "the sweep file changed since the last time; runs that are done stay:\n" + "\n".join(lines)


def _overview(
    spec: SweepSpec, paths: SweepPaths, device: torch.device, runs: Sequence[Run], history: SweepHistory
) -> SweepOverview:
    names = list(dict.fromkeys(name for run in runs for name in run.settings))
    varying = [name for name in names if len({to_json(run.settings.get(name)) for run in runs}) > 1]
    known = [history.runs[run.id] for run in runs]
    return SweepOverview(
        name=spec.name,
        folder=str(paths.folder),
        device=describe_device(device),
        columns=tuple(varying or names),
        runs=tuple(runs),
        objective=spec.objective,
        history={run.id: tuple(run.records) for run in known if run.records},
        outcomes={run.id: run.outcome for run in known if run.outcome is not None},
    )
