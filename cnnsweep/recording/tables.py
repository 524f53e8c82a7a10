"""`results.json`, `results.csv` and `runs.csv`, derived from a sweep's history."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cnnsweep.recording.files import replace_file, to_json
from cnnsweep.recording.history import RunHistory, SweepHistory
from cnnsweep.recording.paths import SweepPaths
from cnnsweep.records import EpochRecord, RunStatus

VERSION = 1
_EPOCH_FIGURES = (
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "epoch_duration",
    "run_duration",
)
_FAILED = (RunStatus.DIVERGED, RunStatus.FAILED)
_RUN_FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")


def write_tables(paths: SweepPaths, history: SweepHistory) -> None:
    """Replace the three tables of a sweep.

    Raises:
        FolderError: they cannot be written.
    """
    tables = make_tables(paths, history)
    replace_file(paths.results_csv, _csv(tables["epochs"], ["run", *_EPOCH_FIGURES]))
    replace_file(paths.runs_csv, _csv(tables["runs"], list(_empty_run_row())))
    replace_file(paths.results_json, to_json(tables, indent=1) + "\n")


def make_tables(paths: SweepPaths, history: SweepHistory) -> dict[str, Any]:
    """Return the content of `results.json`."""
    assert history.sweep is not None
    hyperparameters = _columns(history.runs.values())
    runs = [_run_row(paths, history, run, hyperparameters) for run in history.runs.values()]
    # A good epoch before a run diverged or failed does not make it the best.
    figures = [None if row["status"] in _FAILED else row[history.objective.metric] for row in runs]
    ranking = history.objective.rank(figures)
    best = runs[ranking[0]]["run"] if ranking and figures[ranking[0]] is not None else None
    sweep = history.sweep
    return {
        "version": VERSION,
        "sweep": {
            "name": sweep["name"],
            "description": sweep["description"],
            "status": history.status,
            "dataset": sweep["dataset"],
            "model": sweep["model"],
            "metric": sweep["metric"],
            "mode": sweep["mode"],
            "validation": sweep["validation"],
            "seed": sweep["seed"],
            "precision": sweep["precision"],
            "device": sweep["device"],
            "threads": sweep["threads"],
            "hyperparameters": hyperparameters,
            "axes": [name for name in hyperparameters if _varies(name, history.runs.values())],
            "best": best,
            "started": history.started,
            "updated": history.updated,
            "duration": sum(row["run_duration"] for row in runs),
        },
        "runs": runs,
        "epochs": [_epoch_row(run, record, hyperparameters) for run in history.runs.values() for record in run.records],
    }


def _empty_run_row() -> dict[str, Any]:
    return {
        "run": None,
        "id": None,
        "status": None,
        "cause": None,
        "epochs_done": 0,
        "best_epoch": None,
        **dict.fromkeys(_RUN_FIGURES),
        "run_duration": 0.0,
        "parameters": None,
        "checkpoint": None,
    }


def _run_row(
    paths: SweepPaths, history: SweepHistory, run: RunHistory, hyperparameters: Sequence[str]
) -> dict[str, Any]:
    best = history.objective.best_epoch(run.records)
    weights = paths.run(run.name).best_weights
    return {
        **_empty_run_row(),
        "run": run.name,
        "id": run.id,
        "status": str(run.status),
        "cause": None if run.outcome is None else run.outcome.cause,
        "epochs_done": run.records[-1].epoch if run.records else 0,
        "best_epoch": None if best is None else best.epoch,
        **({} if best is None else {name: getattr(best, name) for name in _RUN_FIGURES}),
        "run_duration": run.records[-1].run_duration if run.records else 0.0,
        "parameters": run.parameters,
        "checkpoint": str(weights.relative_to(paths.folder)) if best is not None and weights.exists() else None,
        **{name: run.settings.get(name) for name in hyperparameters},
    }


def _epoch_row(run: RunHistory, record: EpochRecord, hyperparameters: Sequence[str]) -> dict[str, Any]:
    figures = {name: getattr(record, name) for name in _EPOCH_FIGURES}
    return {"run": run.name, **figures, **{name: run.settings.get(name) for name in hyperparameters}}


def _columns(runs: Any) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.settings))


def _varies(name: str, runs: Any) -> bool:
    return len({json.dumps(run.settings.get(name), sort_keys=True) for run in runs}) > 1


def _csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as CSV; `columns` head an empty table, others follow as they come."""
    frame = pd.DataFrame([{name: _cell(value) for name, value in row.items()} for row in rows])
    if frame.empty:
        frame = pd.DataFrame(columns=list(columns))
    return frame.to_csv(index=False)


def _cell(value: Any) -> Any:
    """Return a value for a CSV cell: a spreadsheet must not run a text as a formula."""
    if isinstance(value, list | dict | tuple):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value
