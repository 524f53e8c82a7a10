"""The results file of a sweep, read and checked; a report works on these values and nothing else."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import FailFast, Field, TypeAdapter
from pydantic_core import SchemaValidator, core_schema
from pydantic_core.core_schema import TypedDictField

from cnnsweep.analysis.find_results import find_results_file
from cnnsweep.analysis.json_reader import (
    Metric,
    Number,
    Plain,
    Version,
    Whole,
    null_as,
    parse_json,
    read_as,
    refusal,
    shown,
)
from cnnsweep.analysis.result_types import Results, RunResult, Stop, SweepResult, TestResult
from cnnsweep.metrics.names import CHOICES
from cnnsweep.types import EpochRecord, RunStatus

__all__ = ["Results", "RunResult", "Stop", "SweepResult", "TestResult", "load_results"]


@dataclass(frozen=True, slots=True)
class _File:
    """The file; the columns of runs and epochs depend on the sweep."""

    version: Version
    sweep: SweepResult
    runs: list[Any]
    epochs: list[Any]
    tests: Annotated[tuple[TestResult, ...], FailFast(), null_as(())] = ()


_FILE = TypeAdapter(_File)
_RUNS = TypeAdapter(Annotated[tuple[RunResult, ...], FailFast()])
_MAYBE_PLAIN = Annotated[Plain, Field(default=None)]  # a run from before the hyperparameter has none
_EPOCH = {"run": str, "epoch": Whole, "epoch_duration": Number | None, "run_duration": Number | None}


def load_results(path: Path) -> Results:
    """Return the results in `path`, a `results.json` or the folder of a sweep that holds one.

    Raises:
        ResultsError: there is no such file, it is damaged, or it has another form; the message names the place.
    """
    file = find_results_file(path)
    content = read_as(_FILE, parse_json(file), file)
    sweep = content.sweep
    _check_sweep(sweep, file)
    runs = _with_planned_epochs(_read_runs(content.runs, sweep, file))
    epochs = _read_epochs(content.epochs, runs, sweep, file)
    if sweep.best is not None and sweep.best not in epochs:
        raise refusal(file, "sweep.best", f"{shown(sweep.best)} is not among the runs")
    present, former = (tuple(run for run in runs if run.in_file is wanted) for wanted in (True, False))
    if any(run.name == sweep.best for run in former):
        raise refusal(file, "sweep.best", f"{shown(sweep.best)} is of an earlier sweep file")
    return Results(file.parent, sweep, present, epochs, content.tests, former)


def _check_sweep(sweep: SweepResult, file: Path) -> None:
    choices = (*CHOICES, *sweep.recorded[len(CHOICES) :])
    if sweep.metric not in choices:
        found = f"is {shown(sweep.metric)}, but must be one of {', '.join(choices)}"
        raise refusal(file, "sweep.metric", found)
    known = {} if sweep.counts is None else {"training": sweep.counts.training, **sweep.counts.parts}
    for part, counts in known.items():
        if len(counts) != len(sweep.classes):
            raise refusal(file, f"sweep.counts.{part}", f"has {len(counts):,} numbers, but must have one a class")
    for axis in sweep.axes:
        if axis not in sweep.hyperparameters:
            raise refusal(file, "sweep.axes", f"{shown(axis)} is not among sweep.hyperparameters")


@cache
def _column(values: Any) -> TypedDictField:
    schema = TypeAdapter(values).core_schema
    return core_schema.typed_dict_field(schema, required=schema["type"] != "default")


def _read_rows(rows: list[Any], columns: Mapping[str, Any], file: Path, where: str) -> list[dict[str, Any]]:
    """Return the rows of a table, with columns of these types alone."""
    row = core_schema.typed_dict_schema({name: _column(values) for name, values in columns.items()})
    table = core_schema.list_schema(row, fail_fast=True)
    return read_as(SchemaValidator(table), rows, file, where)


def _read_runs(rows: list[Any], sweep: SweepResult, file: Path) -> tuple[RunResult, ...]:
    recorded = sweep.recorded
    columns = dict.fromkeys(sweep.hyperparameters, _MAYBE_PLAIN) | dict.fromkeys(recorded, Metric)
    table = _read_rows(rows, columns, file, "runs")
    whole = [
        {
            **row,
            "metrics": {name: values[name] for name in recorded},
            "params": {name: values[name] for name in sweep.hyperparameters},
            "configuration": row.get("configuration") or row.get("id"),
        }
        for row, values in zip(rows, table, strict=True)
    ]
    return read_as(_RUNS, whole, file, "runs")


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


def _read_epochs(
    rows: list[Any], runs: tuple[RunResult, ...], sweep: SweepResult, file: Path
) -> dict[str, tuple[EpochRecord, ...]]:
    """Return the epochs of each run; the file has neither learning rate nor number of batches."""
    epochs: dict[str, list[EpochRecord]] = {}
    for position, run in enumerate(runs):
        if run.name in epochs:
            raise refusal(file, f"runs[{position}].run", f"{shown(run.name)} is there twice")
        epochs[run.name] = []
    recorded = sweep.recorded
    table = _read_rows(rows, dict.fromkeys(recorded, Metric) | _EPOCH, file, "epochs")
    for position, row in enumerate(table):
        if row["run"] not in epochs:
            raise refusal(file, f"epochs[{position}].run", f"{shown(row['run'])} is not among the runs")
        metrics = {name: row[name] for name in recorded}
        own, whole = (math.nan if row[name] is None else row[name] for name in ("epoch_duration", "run_duration"))
        epochs[row["run"]].append(EpochRecord(row["run"], row["epoch"], metrics, own, whole, lr=math.nan, steps=0))
    return {name: tuple(sorted(own, key=lambda record: record.epoch)) for name, own in epochs.items()}
