"""The ranked table as text for other programs: Markdown, CSV and JSON."""

import csv
import io
import json
import re
from typing import Any

from cnnsweep.display.figures import UNKNOWN, duration_text, figure_text, setting_text
from cnnsweep.display.safe_text import safe_text
from cnnsweep.report.results import FIGURES, Results, RunResult
from cnnsweep.report.summary import places, rank_runs

# A spreadsheet runs a cell that starts with one of these (OWASP, CSV injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_markdown(results: Results, top: int | None = None, sort: str | None = None) -> str:
    """Return a table with the settings that vary, figures rounded; the best run is in bold."""
    columns = results.sweep.axes or results.sweep.hyperparameters
    metrics = [metric for metric in FIGURES if any(run.figure(metric) is not None for run in results.runs)]
    header = ["#", *map(_markdown, columns), "epoch", *metrics, "time", "status"]
    lines = [_markdown_row(header), _markdown_row(["---:" for _ in header[:-1]] + [":---"])]
    for rank, run in _ranked(results, top, sort):
        cells = [
            UNKNOWN if rank is None else str(rank),
            *(_markdown(setting_text(run.settings[name])) for name in columns),
            str(run.best_epoch or run.epochs_done),
            *(figure_text(metric, run.figure(metric)) for metric in metrics),
            duration_text(run.run_duration),
            _markdown(f"{run.status.value}: {run.cause}" if run.cause else run.status.value),
        ]
        is_best = run.name == results.sweep.best
        lines.append(_markdown_row([f"**{cell}**" for cell in cells] if is_best else cells))
    return "\n".join(lines) + "\n"


def to_csv(results: Results, top: int | None = None, sort: str | None = None) -> str:
    """Return all columns of the runs; texts that a spreadsheet would run as formulas get a leading apostrophe."""
    rows = [_plain_row(rank, run) for rank, run in _ranked(results, top, sort)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_csv_cell(name) for name in _column_names(results)])
    writer.writerows([_csv_cell(value) for value in row.values()] for row in rows)
    return stream.getvalue()


def to_json(results: Results, top: int | None = None, sort: str | None = None) -> str:
    """Return a list with one mapping a run, best first, with the values of `results.json` and a rank."""
    rows = [_plain_row(rank, run) for rank, run in _ranked(results, top, sort)]
    return json.dumps(rows, indent=2, allow_nan=False) + "\n"  # pure ASCII, so nothing in it can steer a terminal


def _ranked(results: Results, top: int | None, sort: str | None) -> list[tuple[int | None, RunResult]]:
    """Return the runs in the order asked for, each with its place by the metric; all where `top` is None or 0."""
    place = places(results)
    return [(place.get(run.name), run) for run in rank_runs(results, sort)[: top or None]]


def _column_names(results: Results) -> list[str]:
    names = ["rank", "run", "id", "status", "cause", "epochs_done", "best_epoch", *FIGURES]
    return [*names, "run_duration", "parameters", "checkpoint", *results.sweep.hyperparameters]


def _plain_row(rank: int | None, run: RunResult) -> dict[str, Any]:
    return {
        "rank": rank,
        "run": run.name,
        "id": run.id,
        "status": run.status.value,
        "cause": run.cause,
        "epochs_done": run.epochs_done,
        "best_epoch": run.best_epoch,
        **{metric: run.figure(metric) for metric in FIGURES},
        "run_duration": run.run_duration,
        "parameters": run.parameters,
        "checkpoint": run.checkpoint,
        **run.settings,
    }


def _csv_cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str):
        return value
    return ("'" if value.startswith(_FORMULA_STARTS) else "") + safe_text(value)


def _markdown(text: str) -> str:
    """Return text that Markdown shows as it is: no table cells, emphasis, links or HTML of its own."""
    return re.sub(r"([\\`*|<>&\[\]~])", r"\\\1", safe_text(text))


def _markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
