"""The results file of a sweep, read and checked; a report works on these values and nothing else."""

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnsweep.analysis.find_results import find_results_file
from cnnsweep.analysis.json_reader import JsonReader, joined, parse_json, shown
from cnnsweep.analysis.result_types import Results, RunResult, Stop, SweepResult, TestResult
from cnnsweep.formatting.numbers import count_text
from cnnsweep.metrics.names import CHOICES, MetricInfo, is_metric_name, recorded_names
from cnnsweep.metrics.objective import BEST, LAST, Objective
from cnnsweep.types import EpochRecord, FailureKind, RunStatus

__all__ = ["Results", "RunResult", "Stop", "SweepResult", "TestResult", "load_results"]

VERSION = 1


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
        _read_run(reader, reader.mapping(entry, f"runs[{position}]"), f"runs[{position}]", sweep)
        for position, entry in enumerate(reader.sequence(top, "runs", ""))
    )
    runs = _with_planned_epochs(runs)
    epochs: dict[str, list[EpochRecord]] = {}
    for position, run in enumerate(runs):
        if run.name in epochs:
            reader.fail(f"runs[{position}].run", f"{shown(run.name)} is there twice")
        epochs[run.name] = []
    for position, entry in enumerate(reader.sequence(top, "epochs", "")):
        where = f"epochs[{position}]"
        record = _read_epoch(reader, reader.mapping(entry, where), where, sweep.recorded)
        name = record.run_id
        if name not in epochs:
            reader.fail(f"{where}.run", f"{shown(name)} is not among the runs")
        epochs[name].append(record)
    if sweep.best is not None and sweep.best not in epochs:
        reader.fail("sweep.best", f"{shown(sweep.best)} is not among the runs")
    by_run = {name: tuple(sorted(rows, key=lambda row: row.epoch)) for name, rows in epochs.items()}
    tests = tuple(
        _read_test(reader, reader.mapping(entry, f"tests[{position}]"), f"tests[{position}]")
        for position, entry in enumerate(reader.maybe(reader.sequence, top, "tests", "") or ())
    )
    present, former = (tuple(run for run in runs if run.in_file is wanted) for wanted in (True, False))
    if any(run.name == sweep.best for run in former):
        reader.fail("sweep.best", f"{shown(sweep.best)} is of an earlier sweep file")
    return Results(file.parent, sweep, present, by_run, tests, former)


def _with_planned_epochs(runs: tuple[RunResult, ...]) -> tuple[RunResult, ...]:
    """Return the runs of a file that may not say how many epochs each was to train.

    It is the trial, where there is one; else all have the same, and one that finished has trained them.
    """
    finished = max((run.epochs_done for run in runs if run.status is RunStatus.FINISHED), default=None)

    def planned(run: RunResult) -> int | None:
        own = run.params.get("epochs")
        return own if isinstance(own, int) and not isinstance(own, bool) else finished

    return tuple(
        run if run.epochs_planned is not None else dataclasses.replace(run, epochs_planned=planned(run)) for run in runs
    )


def _read_sweep(reader: JsonReader, entry: Mapping[str, Any]) -> SweepResult:
    where = "sweep"
    hyperparameters = reader.names(entry, "hyperparameters", where)
    axes = reader.names(entry, "axes", where)
    for axis in axes:
        if axis not in hyperparameters:
            reader.fail("sweep.axes", f"{shown(axis)} is not among sweep.hyperparameters")
    metrics = _read_metrics(reader, entry, where)
    recorded = recorded_names(metric.name for metric in metrics)
    objective = Objective(
        reader.choice(entry, "metric", where, (*CHOICES, *recorded[len(CHOICES) :])),
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
        elapsed=reader.maybe(reader.number, entry, "elapsed", where),
        validation_images=reader.maybe(reader.integer, entry, "validation_images", where),
        largest_class=reader.maybe(reader.integer, entry, "largest_class", where),
        metrics=metrics,
    )


def _read_metrics(reader: JsonReader, entry: Mapping[str, Any], where: str) -> tuple[MetricInfo, ...]:
    """Return the further metrics; a file of an earlier version has none."""
    found = []
    for position, value in enumerate(reader.maybe(reader.sequence, entry, "metrics", where) or ()):
        place = f"{joined(where, 'metrics')}[{position}]"
        metric = reader.mapping(value, place)
        name = reader.text(metric, "name", place)
        if not is_metric_name(name):
            reader.fail(joined(place, "name"), f"is {shown(name)}, but must be the name of a metric")
        label = reader.maybe(reader.text, metric, "label", place) or name
        found.append(MetricInfo(name, label, bool(reader.boolean(metric, "greater_is_better", place))))
    return tuple(found)


def _read_scope(reader: JsonReader, entry: Mapping[str, Any], where: str) -> str:
    scope = reader.maybe(reader.text, entry, "scope", where) or BEST
    if scope not in (BEST, LAST) and not re.fullmatch(r"mean of last [1-9][0-9]{0,8}", scope):
        reader.fail(joined(where, "scope"), f"is {shown(scope)}, but must be best, last or mean of last K")
    return scope


def _read_run(reader: JsonReader, entry: Mapping[str, Any], where: str, sweep: SweepResult) -> RunResult:
    # A run from before a hyperparameter was added to the sweep has no such key.
    params = {name: reader.plain(entry, name, where) for name in sweep.hyperparameters}
    run_id = reader.text(entry, "id", where)
    stop = reader.maybe(reader.submapping, entry, "stop", where)
    return RunResult(
        name=reader.run_name(entry, "run", where),
        id=run_id,
        status=RunStatus(reader.choice(entry, "status", where, tuple(RunStatus))),
        failure=_read_failure(reader, entry, where),
        cause=reader.optional(reader.text, entry, "cause", where),
        epochs_done=reader.integer(entry, "epochs_done", where),
        best_epoch=reader.optional(reader.integer, entry, "best_epoch", where),
        metrics={name: reader.metric(entry, name, where) for name in sweep.recorded},
        run_duration=reader.optional(reader.number, entry, "run_duration", where),
        parameters=reader.optional(reader.integer, entry, "parameters", where),
        checkpoint=reader.optional(reader.text, entry, "checkpoint", where),
        params=params,
        trial_id=reader.maybe(reader.text, entry, "configuration", where) or run_id,
        fold=reader.maybe(reader.integer, entry, "fold", where),
        stop=None if stop is None else _read_stop(reader, stop, joined(where, "stop")),
        epochs_planned=reader.maybe(reader.integer, entry, "epochs_planned", where),
        in_file=reader.maybe(reader.boolean, entry, "in_file", where) is not False,
    )


def _read_failure(reader: JsonReader, entry: Mapping[str, Any], where: str) -> FailureKind | None:
    if entry.get("failure") is None:  # or from before failures had a kind
        return None
    return FailureKind(reader.choice(entry, "failure", where, tuple(FailureKind)))


def _read_stop(reader: JsonReader, entry: Mapping[str, Any], where: str) -> Stop:
    return Stop(
        epoch=reader.integer(entry, "epoch", where),
        value=reader.metric(entry, "value", where),
        threshold=reader.metric(entry, "threshold", where),
        compared=reader.integer(entry, "compared", where),
        rule=reader.text(entry, "rule", where),
    )


def _read_test(reader: JsonReader, entry: Mapping[str, Any], where: str) -> TestResult:
    images, correct = reader.integer(entry, "images", where), reader.integer(entry, "correct", where)
    if not 0 <= correct <= images or not images:
        reader.fail(joined(where, "correct"), f"is {correct:,} of {count_text(images, 'image')}, which cannot be")
    return TestResult(
        run=reader.run_name(entry, "run", where),
        trial_id=reader.text(entry, "configuration", where),
        accuracy=reader.number(entry, "accuracy", where),
        loss=reader.metric(entry, "loss", where),
        images=images,
        correct=correct,
        time=reader.text(entry, "time", where),
        refit=reader.maybe(reader.boolean, entry, "refit", where) or False,
    )


def _read_epoch(reader: JsonReader, entry: Mapping[str, Any], where: str, recorded: tuple[str, ...]) -> EpochRecord:
    """Return an epoch; the file has neither learning rate nor number of batches, and a missing duration is NaN."""
    durations = [reader.optional(reader.number, entry, name, where) for name in ("epoch_duration", "run_duration")]
    epoch_duration, run_duration = (math.nan if seconds is None else seconds for seconds in durations)
    return EpochRecord(
        run_id=reader.text(entry, "run", where),
        epoch=reader.integer(entry, "epoch", where),
        metrics={name: reader.metric(entry, name, where) for name in recorded},
        epoch_duration=epoch_duration,
        run_duration=run_duration,
        lr=math.nan,
        steps=0,
    )
