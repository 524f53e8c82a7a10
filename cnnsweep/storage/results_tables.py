"""`results.json`, `results.csv` and `runs.csv`, derived from a sweep's history."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from cnnsweep.formatting.csv_text import without_formula
from cnnsweep.metrics.objective import Objective
from cnnsweep.storage.atomic_files import replace_file, to_json
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.run_state import RunState
from cnnsweep.storage.state import SweepState
from cnnsweep.types import PLAIN, EpochRecord, RunStatus

VERSION = 1
_DURATIONS = ("epoch_duration", "run_duration")
_STOP_FIELDS = ("epoch", "value", "threshold", "compared", "rule")
_MOST_TIME = 0.01  # the share of the time that goes into tables while a sweep runs
TEST_FIELDS = ("run", "configuration", "split", "accuracy", "loss", "images", "correct", "time", "refit")
LABEL_FIELDS = ("classes", "counts", "baselines", "labels")
_LATER_TEST_FIELDS = ("metrics", "intervals", "tta")  # earlier journals do not have them
_FAILED = (RunStatus.DIVERGED, RunStatus.FAILED)


class DueTables:
    """The tables of a sweep that runs: as current as their growing cost allows."""

    def __init__(self, paths: SweepPaths, history: SweepState) -> None:
        self._paths = paths
        self._history = history
        self._due = 0.0

    def write(self) -> None:
        """Write the tables, see `write_tables`."""
        write_tables(self._paths, self._history)

    def write_if_due(self) -> None:
        """Write the tables, unless that would take more than a hundredth of the time."""
        start = time.monotonic()
        if start < self._due:
            return
        self.write()
        now = time.monotonic()
        self._due = now + (now - start) / _MOST_TIME


def write_tables(paths: SweepPaths, history: SweepState) -> None:
    """Replace the three tables of a sweep.

    Raises:
        FolderError: they cannot be written.
    """
    for path, text in table_texts(paths, history).items():
        replace_file(path, text)


def table_texts(paths: SweepPaths, history: SweepState) -> dict[Path, str]:
    """Return the texts of the three tables, in the order of writing."""
    tables = make_tables(paths, history)
    return {
        paths.results_csv: _csv(tables["epochs"], ["run", "epoch", *history.metrics, *_DURATIONS]),
        paths.runs_csv: _csv(tables["runs"], list(_empty_run_row(history.metrics))),
        paths.results_json: to_json(tables, indent=1) + "\n",
    }


def make_tables(paths: SweepPaths, history: SweepState) -> dict[str, Any]:
    """Return the content of `results.json`."""
    assert history.sweep is not None
    hyperparameters = _columns([*history.present, *history.runs.values()])
    runs = [_run_row(paths, history, run, hyperparameters) for run in history.runs.values()]
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
            "scope": history.objective.scope,
            "validation": sweep["validation"],
            "folds": sweep.get("folds"),
            "search": sweep.get("search"),
            "early_stop": sweep.get("early_stop"),
            "seed": sweep["seed"],
            "precision": sweep["precision"],
            "device": sweep["device"],
            "threads": sweep["threads"],
            "hyperparameters": hyperparameters,
            "axes": [name for name in hyperparameters if _varies(name, history.present)],
            "best": best_run([row for row in runs if row["in_file"]], history.objective),
            "started": history.started,
            "updated": history.updated,
            "duration": sum(row["run_duration"] for row in runs),  # all that `elapsed` went into
            "elapsed": history.elapsed,
            "validation_images": sweep.get("validation_images"),
            "largest_class": sweep.get("largest_class"),
            "metrics": sweep.get("metrics", []),
            **{name: sweep[name] for name in LABEL_FIELDS if name in sweep},  # journals of earlier versions lack them
        },
        "runs": runs,
        "epochs": [
            epoch_row(run.name, record, history.metrics, {name: run.params.get(name) for name in hyperparameters})
            for run in history.runs.values()
            for record in run.records
        ],
        "tests": [_test_row(test) for test in history.tests],
    }


def _test_row(test: Mapping[str, Any]) -> dict[str, Any]:
    later = {key: test[key] for key in _LATER_TEST_FIELDS if key in test}
    return {**{key: test[key] for key in TEST_FIELDS}, **later}


def best_run(rows: Sequence[Mapping[str, Any]], objective: Objective) -> str | None:
    """Return the name of the best run of the best trial, or None if no run has the metric.

    A trial ranks by the mean over its runs, equal ones by the mean loss, then by their order. A trial with a diverged
    or failed run comes after all others, also with a better value before: its other seeds and folds were lucky.

    Args:
        rows: of the table of runs.
    """
    ranked = rank_trials(rows, objective)
    if not ranked or _mean_value(ranked[0], objective.metric) is None:
        return None
    best = ranked[0]
    values, losses = ([None if name is None else row[name] for row in best] for name in _deciding(objective))
    return str(best[objective.rank(values, losses)[0]]["run"])


def _deciding(objective: Objective) -> tuple[str, str | None]:
    return objective.metric, objective.tie_breaker


def rank_trials(rows: Sequence[Mapping[str, Any]], objective: Objective) -> list[list[Mapping[str, Any]]]:
    """Return the rows by trial, the best trial first; see `best_run`."""
    params: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        params.setdefault(row["configuration"], []).append(row)
    candidates = list(params.values())
    values, losses = ([_mean_value(rows, name) for rows in candidates] for name in _deciding(objective))
    order = objective.rank(values, losses)
    return [candidates[position] for position in order]


def _mean_value(rows: Sequence[Mapping[str, Any]], metric: str | None) -> float | None:
    if metric is None or any(row["status"] in _FAILED for row in rows):
        return None
    values = [row[metric] for row in rows if row[metric] is not None]
    return fmean(values) if values else None


def _empty_run_row(metrics: Sequence[str]) -> dict[str, Any]:
    return {
        "run": None,
        "id": None,
        "configuration": None,
        "fold": None,
        "status": None,
        "failure": None,
        "cause": None,
        "epochs_done": 0,
        "epochs_planned": None,
        "best_epoch": None,
        **dict.fromkeys(metrics),
        "run_duration": 0.0,
        "parameters": None,
        "checkpoint": None,
        "stop": None,
        "in_file": True,
    }


def _run_row(paths: SweepPaths, history: SweepState, run: RunState, hyperparameters: Sequence[str]) -> dict[str, Any]:
    best = history.objective.selected(run.records)
    weights = paths.run(run.name).best_weights
    return {
        **_empty_run_row(history.metrics),
        "run": run.name,
        "id": run.id,
        "configuration": run.trial_id,
        "fold": run.fold,
        "status": str(_status(history, run)),
        "failure": None if run.outcome is None else run.outcome.failure,
        "cause": None if run.outcome is None else run.outcome.cause,
        "epochs_done": run.records[-1].epoch if run.records else 0,
        "epochs_planned": history.planned_epochs(run),
        "best_epoch": None if best is None else best.epoch,
        **({} if best is None else {name: best[name] for name in history.metrics}),
        "run_duration": run.records[-1].run_duration if run.records else 0.0,
        "parameters": run.parameters,
        "checkpoint": str(weights.relative_to(paths.folder)) if best is not None and weights.exists() else None,
        "stop": _stop(history, run),
        "in_file": run.id not in history.former,
        **({} if best is None else _weights(best)),
        **{name: run.params.get(name) for name in hyperparameters},
    }


def _status(history: SweepState, run: RunState) -> RunStatus:
    """Return the status of a run: nothing trains after a command has ended, even if it could not record that."""
    is_over = history.status != "running"
    return RunStatus.INTERRUPTED if is_over and run.status is RunStatus.RUNNING else run.status


def _stop(history: SweepState, run: RunState) -> dict[str, Any] | None:
    """Return the decision that pruned a run, or None."""
    decision = history.pruning_decision(run)
    return None if decision is None else {name: getattr(decision, name) for name in _STOP_FIELDS}


def epoch_row(run: str, record: EpochRecord, metrics: Sequence[str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `results.csv`: of a run by its name, with its values of hyperparameters."""
    measured = {name: record[name] for name in metrics}
    durations = {"epoch_duration": record.epoch_duration, "run_duration": record.run_duration}
    return {"run": run, "epoch": record.epoch, **measured, **durations, **_weights(record), **params}


def _weights(record: EpochRecord) -> dict[str, str]:
    """Return the weights that count as the run's; nothing for a run without averages."""
    return {"weights": record.weights} if record.others or record.weights != PLAIN else {}


def _columns(runs: Any) -> list[str]:
    """Return the hyperparameters; the fold is not one of them, and has a column of its own."""
    return list(dict.fromkeys(name for run in runs for name in run.params if name != "fold"))


def _varies(name: str, runs: Any) -> bool:
    return len({json.dumps(run.params.get(name), sort_keys=True) for run in runs}) > 1


def _csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as CSV; `columns` head an empty table, others follow as they come."""
    frame = pd.DataFrame(
        [{without_formula(name): without_formula(value) for name, value in row.items()} for row in rows]
    )
    if frame.empty:
        frame = pd.DataFrame(columns=list(columns))
    return frame.to_csv(index=False)
