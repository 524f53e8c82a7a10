"""The results file of a sweep, read and checked; a report works on these values and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnsweep.display.safe_text import safe_text
from cnnsweep.errors import ResultsError
from cnnsweep.recording.paths import SweepPaths
from cnnsweep.records import RunStatus
from cnnsweep.report.json_reader import REBUILD, JsonReader, joined, parse_json, shown
from cnnsweep.selection import METRICS, Objective

VERSION = 1
DEEPEST_SETTING = 8  # lists in lists; a sweep file needs two
FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What holds for the whole sweep. `axes` are the hyperparameters that vary, `best` is the best run's name."""

    name: str
    description: str
    status: str
    dataset: str
    model: str
    objective: Objective
    validation: float
    seed: int
    precision: str
    device: str
    threads: int | None
    hyperparameters: tuple[str, ...]
    axes: tuple[str, ...]
    best: str | None
    started: str
    updated: str
    duration: float  # seconds


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run, with the figures of its best epoch. A figure is None where it was not measured or not finite."""

    name: str
    id: str
    status: RunStatus
    cause: str | None
    epochs_done: int
    best_epoch: int | None
    loss: float | None
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    run_duration: float | None  # seconds
    parameters: int | None  # how many weights the model has
    checkpoint: str | None  # relative to the sweep's folder
    settings: Mapping[str, Any]  # one a hyperparameter

    def figure(self, metric: str) -> float | None:
        """Return the best epoch's figure by its name, one of `selection.METRICS`."""
        figure: float | None = getattr(self, metric)
        return figure

    @property
    def has_failed(self) -> bool:
        return self.status in (RunStatus.DIVERGED, RunStatus.FAILED)

    @property
    def is_complete(self) -> bool:
        return self.status in (RunStatus.FINISHED, RunStatus.STOPPED)


@dataclass(frozen=True, slots=True)
class EpochResult:
    """One run after one epoch."""

    epoch: int
    loss: float | None
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    epoch_duration: float | None  # seconds
    run_duration: float | None  # seconds

    def figure(self, metric: str) -> float | None:
        """Return the figure by its name, one of `selection.METRICS`."""
        figure: float | None = getattr(self, metric)
        return figure


@dataclass(frozen=True, slots=True)
class Results:
    """A results file: the sweep, its runs in the file's order, and the epochs of each run by its name."""

    folder: Path
    sweep: SweepResult
    runs: tuple[RunResult, ...]
    epochs: Mapping[str, tuple[EpochResult, ...]]


def load_results(path: Path) -> Results:
    """Return the results in `path`, a `results.json` or the folder of a sweep that holds one.

    Raises:
        ResultsError: there is no such file, it is damaged, or it has another form; the message names the place.
    """
    file = _find_file(path)
    content = parse_json(file)
    reader = JsonReader(file)
    top = reader.mapping(content, "")
    version = reader.integer(top, "version", "")
    if version != VERSION:
        reader.fail("version", f"is {version}, but this cnnsweep reads version {VERSION}; update cnnsweep")
    sweep = _read_sweep(reader, reader.mapping(reader.get(top, "sweep", ""), "sweep"))
    runs = tuple(
        _read_run(reader, reader.mapping(entry, f"runs[{position}]"), f"runs[{position}]", sweep.hyperparameters)
        for position, entry in enumerate(reader.sequence(top, "runs", ""))
    )
    epochs: dict[str, list[EpochResult]] = {}
    for position, run in enumerate(runs):
        if run.name in epochs:
            reader.fail(f"runs[{position}].run", f"{shown(run.name)} is there twice")
        epochs[run.name] = []
    for position, entry in enumerate(reader.sequence(top, "epochs", "")):
        where = f"epochs[{position}]"
        name, epoch = _read_epoch(reader, reader.mapping(entry, where), where)
        if name not in epochs:
            reader.fail(f"{where}.run", f"{shown(name)} is not among the runs")
        epochs[name].append(epoch)
    if sweep.best is not None and sweep.best not in epochs:
        reader.fail("sweep.best", f"{shown(sweep.best)} is not among the runs")
    by_run = {name: tuple(sorted(rows, key=lambda row: row.epoch)) for name, rows in epochs.items()}
    return Results(file.parent, sweep, runs, by_run)


def _find_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    file = SweepPaths(path).results_json
    if file.exists():
        return file
    place = safe_text(path)
    if SweepPaths(path).journal.exists():
        raise ResultsError(f"{place}: this sweep has no {file.name} yet; {REBUILD}")
    sweeps = sorted(entry.parent.name for entry in path.glob(f"*/{file.name}"))
    if sweeps:
        listed = ", ".join(map(safe_text, sweeps[:5])) + (f" and {len(sweeps) - 5} more" if len(sweeps) > 5 else "")
        raise ResultsError(
            f"{place}: holds no {file.name}, but folders that do: {listed}; give one of them, "
            f"as in: cnnsweep report {safe_text(path / sweeps[0])}"
        )
    raise ResultsError(f"{place}: holds no {file.name}; give the folder that 'cnnsweep run' named, runs/<sweep name>")


def _read_sweep(reader: JsonReader, entry: Mapping[str, Any]) -> SweepResult:
    where = "sweep"
    hyperparameters = reader.names(entry, "hyperparameters", where)
    axes = reader.names(entry, "axes", where)
    for axis in axes:
        if axis not in hyperparameters:
            reader.fail("sweep.axes", f"{shown(axis)} is not among sweep.hyperparameters")
    metric = reader.choice(entry, "metric", where, METRICS)
    return SweepResult(
        name=reader.text(entry, "name", where),
        description=reader.optional(reader.text, entry, "description", where) or "",
        status=reader.choice(entry, "status", where, ("running", "finished", "interrupted")),
        dataset=reader.text(entry, "dataset", where),
        model=reader.text(entry, "model", where),
        objective=Objective(metric, reader.choice(entry, "mode", where, ("max", "min"))),
        validation=reader.number(entry, "validation", where),
        seed=reader.integer(entry, "seed", where),
        precision=reader.text(entry, "precision", where),
        device=reader.text(entry, "device", where),
        threads=reader.optional(reader.integer, entry, "threads", where),
        hyperparameters=hyperparameters,
        axes=axes,
        best=reader.optional(reader.text, entry, "best", where),
        started=reader.text(entry, "started", where),
        updated=reader.text(entry, "updated", where),
        duration=reader.number(entry, "duration", where),
    )


def _read_run(reader: JsonReader, entry: Mapping[str, Any], where: str, hyperparameters: tuple[str, ...]) -> RunResult:
    # A run from before a hyperparameter was added to the sweep has no such key.
    settings = {name: entry.get(name) for name in hyperparameters}
    for name, value in settings.items():
        if _depth(value) > DEEPEST_SETTING:
            reader.fail(joined(where, name), "is nested too deeply")
    return RunResult(
        name=reader.run_name(entry, "run", where),
        id=reader.text(entry, "id", where),
        status=RunStatus(reader.choice(entry, "status", where, tuple(RunStatus))),
        cause=reader.optional(reader.text, entry, "cause", where),
        epochs_done=reader.integer(entry, "epochs_done", where),
        best_epoch=reader.optional(reader.integer, entry, "best_epoch", where),
        loss=reader.optional(reader.number, entry, "loss", where),
        accuracy=reader.optional(reader.number, entry, "accuracy", where),
        val_loss=reader.optional(reader.number, entry, "val_loss", where),
        val_accuracy=reader.optional(reader.number, entry, "val_accuracy", where),
        run_duration=reader.optional(reader.number, entry, "run_duration", where),
        parameters=reader.optional(reader.integer, entry, "parameters", where),
        checkpoint=reader.optional(reader.text, entry, "checkpoint", where),
        settings=settings,
    )


def _read_epoch(reader: JsonReader, entry: Mapping[str, Any], where: str) -> tuple[str, EpochResult]:
    return reader.text(entry, "run", where), EpochResult(
        epoch=reader.integer(entry, "epoch", where),
        loss=reader.optional(reader.number, entry, "loss", where),
        accuracy=reader.optional(reader.number, entry, "accuracy", where),
        val_loss=reader.optional(reader.number, entry, "val_loss", where),
        val_accuracy=reader.optional(reader.number, entry, "val_accuracy", where),
        epoch_duration=reader.optional(reader.number, entry, "epoch_duration", where),
        run_duration=reader.optional(reader.number, entry, "run_duration", where),
    )


def _depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    parts = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, parts), default=0)
