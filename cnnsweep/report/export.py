"""The ranked table as text for other programs: Markdown, CSV and JSON."""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from cnnsweep.analysis.axes import has_replicates
from cnnsweep.analysis.baseline import AT_BASELINE, compare_runs, mark_legend, runs_at_baseline, starred_run
from cnnsweep.analysis.intervals import ends_text
from cnnsweep.analysis.results import Results, RunResult, SweepResult
from cnnsweep.analysis.summary import places, rank_runs
from cnnsweep.analysis.trials import Trial, group_trials
from cnnsweep.formatting.csv_text import csv_text
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN, duration_text, metric_text, trial_text
from cnnsweep.report.former_runs import LABEL
from cnnsweep.types import PARTS, end_words

BETTER = "is_better_than_baseline"
_STOP_FIELDS = ("epoch", "value", "threshold", "compared", "rule")
_STOP_COLUMNS = tuple(f"stop_{name}" for name in _STOP_FIELDS)
_TRIAL_COLUMNS = tuple(f"setting_{name}" for name in ("mean", "deviation", "low", "high", "runs", "place", "tied"))


def to_markdown(results: Results, top: int | None = None, sort: str | None = None) -> str:
    """Return a table with the hyperparameters that vary, metrics rounded; the best run is in bold."""
    best, at_baseline = starred_run(results), runs_at_baseline(results)
    columns = results.sweep.axes or results.sweep.hyperparameters
    metrics = [metric for metric in results.sweep.recorded if any(run[metric] is not None for run in results.runs)]
    trials = _settings(results)
    means = [f"mean {results.sweep.objective.metric}", "95 %", "tied with best"] if trials else []
    header = ["#", *map(_markdown, columns), "epoch", "best at", *metrics, *means, "time", "status"]
    lines = [_markdown_row(header), _markdown_row(["---:" for _ in header[:-1]] + [":---"])]
    for rank, run in _ranked(results, top, sort):
        cells = [
            (UNKNOWN if rank is None else str(rank)) + (f" {AT_BASELINE}" if run.name in at_baseline else ""),
            *(_markdown(trial_text(run.params[name])) for name in columns),
            run.epochs_text,
            str(run.best_epoch or UNKNOWN),
            *(metric_text(metric, run[metric]) for metric in metrics),
            *(_mean_cells(results, trials.get(run.trial_id)) if trials else ()),
            duration_text(run.run_duration),
            _markdown(_status_words(run)),
        ]
        is_best = run.name == best
        lines.append(_markdown_row([f"**{cell}**" for cell in cells] if is_best else cells))
    legend = ["", _markdown(mark_legend(results) or "")] if at_baseline else []
    return "\n".join([*lines, *legend]) + "\n"


def to_csv(results: Results, top: int | None = None, sort: str | None = None) -> str:
    """Return all columns of the runs; texts that a spreadsheet would evaluate as formulas get a leading apostrophe."""
    trials = _settings(results)
    is_better = compare_runs(results)
    rows = [_plain_row(rank, run, trials, is_better.get(run.name)) for rank, run in _ranked(results, top, sort)]
    return csv_text([_column_names(results, trials), *(list(row.values()) for row in rows)])


def to_json(results: Results, top: int | None = None, sort: str | None = None) -> str:
    """Return the sweep, and one mapping per run, best first, with the values of `results.json` and a rank."""
    trials = _settings(results)
    is_better = compare_runs(results)
    rows = [_plain_row(rank, run, trials, is_better.get(run.name)) for rank, run in _ranked(results, top, sort)]
    content = {"sweep": _sweep_row(results.sweep), "runs": rows}
    return json.dumps(content, indent=2, allow_nan=False) + "\n"  # pure ASCII cannot control a terminal


def _sweep_row(sweep: SweepResult) -> dict[str, Any]:
    """Return the sweep's values under the names of `results.json`."""
    fields = {field.name: getattr(sweep, field.name) for field in dataclasses.fields(sweep)}
    for name in ("further_metrics", "classes", "counts", "known_baselines", "labels"):
        del fields[name]
    metrics = [dataclasses.asdict(metric) for metric in sweep.metrics]
    return {**fields, "metrics": metrics, **_label_facts(sweep)}


def _label_facts(sweep: SweepResult) -> dict[str, Any]:
    """Return the fields on the labels that the file has."""
    counts = None if sweep.counts is None else {name: sweep.counts.parts.get(name) for name in PARTS}
    known = {
        "classes": list(sweep.classes) or None,
        "counts": counts,
        "baselines": sweep.known_baselines,
        "labels": sweep.labels,
    }
    return {name: value for name, value in known.items() if value is not None}


def _ranked(results: Results, top: int | None, sort: str | None) -> list[tuple[int | None, RunResult]]:
    """Return the runs in the given order, each with its rank by the metric; all if `top` is None or 0.

    Runs that the sweep file no longer has come last, without a rank.
    """
    place = places(results)
    return [(place.get(run.name), run) for run in (*rank_runs(results, sort), *results.former)[: top or None]]


def _settings(results: Results) -> dict[str, Trial]:
    """Return the trials by id; none if each has one run, whose row is enough."""
    return {trial.trial_id: trial for trial in group_trials(results)} if has_replicates(results) else {}


def _status_words(run: RunResult) -> str:
    words = end_words(run.status, run.failure) + (f": {run.cause}" if run.cause else "")
    return words if run.in_file else f"{words}; {LABEL}"


def _mean_cells(results: Results, trial: Trial | None) -> list[str]:
    if trial is None:  # of a run that the sweep file no longer has
        return [UNKNOWN] * 3
    metric, found = results.sweep.objective.metric, trial.estimate
    low, high = (None, None) if found is None else (found.low, found.high)
    interval = UNKNOWN if low is None or high is None else ends_text(metric, low, high)
    tied = UNKNOWN if trial.tied is None else "yes" if trial.tied else "no"
    return [metric_text(metric, None if found is None else found.mean), interval, tied]


def _column_names(results: Results, trials: Mapping[str, Trial]) -> list[str]:
    names = [
        "rank",
        "run",
        "id",
        "configuration",
        "fold",
        "status",
        "failure",
        "cause",
        "epochs_done",
        "epochs_planned",
        "best_epoch",
        *results.sweep.recorded,
    ]
    names += [
        "run_duration",
        "parameters",
        "checkpoint",
        "in_file",
        *_STOP_COLUMNS,
        BETTER,
        *(_TRIAL_COLUMNS if trials else ()),
    ]
    return [*names, *results.sweep.hyperparameters]


def _plain_row(rank: int | None, run: RunResult, trials: Mapping[str, Trial], is_better: bool | None) -> dict[str, Any]:
    stop = run.stop
    return {
        "rank": rank,
        "run": run.name,
        "id": run.id,
        "configuration": run.trial_id,
        "fold": run.fold,
        "status": run.status.value,
        "failure": run.failure,
        "cause": run.cause,
        "epochs_done": run.epochs_done,
        "epochs_planned": run.epochs_planned,
        "best_epoch": run.best_epoch,
        **run.metrics,
        "run_duration": run.run_duration,
        "parameters": run.parameters,
        "checkpoint": run.checkpoint,
        "in_file": run.in_file,
        **{f"stop_{name}": None if stop is None else getattr(stop, name) for name in _STOP_FIELDS},
        BETTER: is_better,
        **(_trial_cells(trials.get(run.trial_id)) if trials else {}),
        **run.params,
    }


def _trial_cells(trial: Trial | None) -> dict[str, Any]:
    if trial is None:
        return dict.fromkeys(_TRIAL_COLUMNS)
    found = trial.estimate
    figures = (None, None, None, None, 0) if found is None else dataclasses.astuple(found)
    mean, deviation, low, high, count = figures
    cells = (mean, deviation, low, high, count, trial.place, trial.tied)
    return dict(zip(_TRIAL_COLUMNS, cells, strict=True))


def _markdown(text: str) -> str:
    """Return text escaped for Markdown: it makes no table cells, emphasis, links or HTML."""
    return re.sub(r"([\\`*|<>&\[\]~])", r"\\\1", safe_text(text))


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
