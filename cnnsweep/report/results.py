"""The results file of a sweep, read and checked; a report works on these values and nothing else."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnsweep.records import RunStatus
from cnnsweep.report.finding import find_results_file
from cnnsweep.report.json_reader import JsonReader, joined, parse_json, shown
from cnnsweep.selection import BEST, LAST, METRICS, Objective

VERSION = 1
DEEPEST_SETTING = 8  # lists in lists; a sweep file needs two
FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What holds for the whole sweep.

    Attributes:
        axes: the hyperparameters that vary.
        best: the best run's name.
        folds: of cross-validation, or None.
        search: how settings were drawn ("method", "runs", "seed" and more), None for a grid.
        early_stop: the rule that ended runs early ("method" and more), or None.
    """

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
    folds: int | None
    search: Mapping[str, Any] | None
    early_stop: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a rule ended a run early: after `epoch`, its setting's figure was held against a threshold."""

    epoch: int
    value: float | None
    threshold: float | None
    compared: int  # how many settings the threshold comes from; 1 if it depends on no other
    rule: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """One run, with the figures that stand for it. A figure is None where it was not measured or not finite.

    `configuration` is the same for runs that differ by seed or fold alone; `best_epoch` is the one whose weights
    were kept.
    """

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
    configuration: str
    fold: int | None
    stop: Stop | None

    def figure(self, metric: str) -> float | None:
        """Return the figure that stands for the run by its name, one of `selection.METRICS`."""
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
class TestResult:
    """What a run reached on the test set. `refit` says that it was trained anew, on all training images."""

    __test__ = False  # pytest takes the name for a class of tests

    run: str
    configuration: str
    accuracy: float
    loss: float | None
    images: int
    correct: int
    time: str  # ISO
    refit: bool


@dataclass(frozen=True, slots=True)
class Results:
    """A results file: the sweep, its runs in the file's order, the epochs of each run by its name, and its tests."""

    folder: Path
    sweep: SweepResult
    runs: tuple[RunResult, ...]
    epochs: Mapping[str, tuple[EpochResult, ...]]
    tests: tuple[TestResult, ...] = ()


def load_results(path: Path) -> Results:
    """Return the results in `path`, a `results.json` or the folder of a sweep that holds one.

    Raises:
        ResultsError: there is no such file, it is damaged, or it has another form; the message names the place.
    """
    file = find_results_file(path)
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
    tests = tuple(
        _read_test(reader, reader.mapping(entry, f"tests[{position}]"), f"tests[{position}]")
        for position, entry in enumerate(reader.maybe(reader.sequence, top, "tests", "") or ())
    )
    return Results(file.parent, sweep, runs, by_run, tests)


def _read_sweep(reader: JsonReader, entry: Mapping[str, Any]) -> SweepResult:
    where = "sweep"
    hyperparameters = reader.names(entry, "hyperparameters", where)
    axes = reader.names(entry, "axes", where)
    for axis in axes:
        if axis not in hyperparameters:
            reader.fail("sweep.axes", f"{shown(axis)} is not among sweep.hyperparameters")
    objective = Objective(
        reader.choice(entry, "metric", where, METRICS),
        reader.choice(entry, "mode", where, ("max", "min")),
        _read_scope(reader, entry, where),
    )
    return SweepResult(
        name=reader.text(entry, "name", where),
        description=reader.optional(reader.text, entry, "description", where) or "",
        status=reader.choice(entry, "status", where, ("running", "finished", "interrupted")),
        dataset=reader.text(entry, "dataset", where),
        model=reader.text(entry, "model", where),
        objective=objective,
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
        folds=reader.maybe(reader.integer, entry, "folds", where),
        search=reader.maybe(reader.submapping, entry, "search", where),
        early_stop=reader.maybe(reader.submapping, entry, "early_stop", where),
    )


def _read_scope(reader: JsonReader, entry: Mapping[str, Any], where: str) -> str:
    scope = reader.maybe(reader.text, entry, "scope", where) or BEST
    if scope not in (BEST, LAST) and not re.fullmatch(r"mean of last [1-9][0-9]{0,8}", scope):
        reader.fail(joined(where, "scope"), f"is {shown(scope)}, but must be best, last or mean of last K")
    return scope


def _read_run(reader: JsonReader, entry: Mapping[str, Any], where: str, hyperparameters: tuple[str, ...]) -> RunResult:
    # A run from before a hyperparameter was added to the sweep has no such key.
    settings = {name: entry.get(name) for name in hyperparameters}
    for name, value in settings.items():
        if _depth(value) > DEEPEST_SETTING:
            reader.fail(joined(where, name), "is nested too deeply")
    run_id = reader.text(entry, "id", where)
    stop = reader.maybe(reader.submapping, entry, "stop", where)
    return RunResult(
        name=reader.run_name(entry, "run", where),
        id=run_id,
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
        configuration=reader.maybe(reader.text, entry, "configuration", where) or run_id,
        fold=reader.maybe(reader.integer, entry, "fold", where),
        stop=None if stop is None else _read_stop(reader, stop, joined(where, "stop")),
    )


def _read_stop(reader: JsonReader, entry: Mapping[str, Any], where: str) -> Stop:
    return Stop(
        epoch=reader.integer(entry, "epoch", where),
        value=reader.optional(reader.number, entry, "value", where),
        threshold=reader.optional(reader.number, entry, "threshold", where),
        compared=reader.integer(entry, "compared", where),
        rule=reader.text(entry, "rule", where),
    )


def _read_test(reader: JsonReader, entry: Mapping[str, Any], where: str) -> TestResult:
    images, correct = reader.integer(entry, "images", where), reader.integer(entry, "correct", where)
    if not 0 <= correct <= images or not images:
        reader.fail(joined(where, "correct"), f"is {correct:,} of {images:,} images, which cannot be")
    return TestResult(
        run=reader.run_name(entry, "run", where),
        configuration=reader.text(entry, "configuration", where),
        accuracy=reader.number(entry, "accuracy", where),
        loss=reader.optional(reader.number, entry, "loss", where),
        images=images,
        correct=correct,
        time=reader.text(entry, "time", where),
        refit=reader.maybe(reader.boolean, entry, "refit", where) or False,
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
