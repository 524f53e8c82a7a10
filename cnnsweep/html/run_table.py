"""The table of all runs, as HTML that can be read, printed and searched without any script."""

import os
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnsweep.analysis.axes import is_number
from cnnsweep.analysis.baseline import mark_legend, runs_at_baseline, starred_run
from cnnsweep.analysis.results import Results, RunResult
from cnnsweep.analysis.summary import places, rank_runs
from cnnsweep.analysis.ties import equal_runs
from cnnsweep.formatting.numbers import UNKNOWN, count_text, duration_text, is_unused, metric_text, trial_text
from cnnsweep.html.markup import text
from cnnsweep.report.former_runs import LABEL
from cnnsweep.report.ranking import run_mark
from cnnsweep.types import end_words

WIDEST = 26  # characters of a column; longer text is wrapped
ROOM_FOR_ARROW = 2  # beside the heading of the sorted column
ROOM_BETWEEN = 2


@dataclass(frozen=True, slots=True)
class _Cell:
    """Text of a cell, and its sort key if that differs."""

    shown: str
    number: float | None = None


@dataclass(frozen=True, slots=True)
class _Column:
    heading: str
    is_number: bool
    is_best_high: bool = False  # the first click shows the highest first


def run_table(results: Results, page_folder: Path) -> str:
    """Return the table, the best run first, each with a link from the page to its folder.

    Runs that the sweep file no longer has come last.
    """
    metrics = [metric for metric in results.sweep.recorded if any(run[metric] is not None for run in results.runs)]
    ranked, place, best = [*rank_runs(results), *results.former], places(results), starred_run(results)
    equal, at_baseline = equal_runs(results, best), runs_at_baseline(results)
    marks = {run.name: run_mark(run.name, best, equal, at_baseline) for run in results.runs}
    columns = _columns(results, metrics)
    heads = "".join(_heading(column) for column in columns)
    cells = [_cells(results, run, place.get(run.name), metrics) for run in ranked]
    rows = [
        _row(results, run, line, columns, page_folder, marks.get(run.name, ""), run.name == best)
        for run, line in zip(ranked, cells, strict=True)
    ]
    widths = _widths(columns, cells)
    caption = f"All {count_text(len(ranked), 'run')}, the best first"
    caption += f"; {mark_legend(results)}" if at_baseline else ""
    return (
        f'<table class="runs" style="width: {sum(widths)}ch"><caption>{text(caption)}</caption>\n'
        f"<colgroup>{''.join(f'<col style=width:{width}ch>' for width in widths)}</colgroup>"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody></table>"
    )


def _widths(columns: Sequence[_Column], rows: Sequence[Sequence[_Cell]]) -> list[int]:
    """Return the columns' widths in characters: a browser takes seconds to derive them from all rows."""
    return [
        min(max(len(column.heading) + ROOM_FOR_ARROW, *(len(row[n].shown) for row in rows)), WIDEST) + ROOM_BETWEEN
        for n, column in enumerate(columns)
    ]


def _columns(results: Results, metrics: Sequence[str]) -> list[_Column]:
    sweep = results.sweep
    numeric = {
        name: all(is_number(run.params[name]) or is_unused(name, run.params[name]) for run in results.runs)
        for name in sweep.axes
    }
    return [
        _Column("#", True),
        _Column("run", False),
        *(_Column(name, numeric[name]) for name in sweep.axes),
        *([_Column("fold", True)] if sweep.folds else []),
        *(_Column(metric, True, results.sweep.by(metric).mode == "max") for metric in metrics),
        _Column("epoch", True),
        _Column("best at", True),
        _Column("time", True),
        _Column("status", False),
    ]


def _cells(results: Results, run: RunResult, place: int | None, metrics: Sequence[str]) -> list[_Cell]:
    sweep = results.sweep
    has_news = run.cause and (run.has_failed or run.stop)
    status = end_words(run.status, run.failure) + (f": {run.cause}" if has_news else "")
    status += "" if run.in_file else f"; {LABEL}"
    return [
        _number(place),
        _Cell(run.name),
        *(_setting(name, run.params[name]) for name in sweep.axes),
        *([_number(run.fold)] if sweep.folds else []),
        *(_Cell(metric_text(metric, figure := run[metric]), figure) for metric in metrics),
        _Cell(run.epochs_text, run.epochs_done),
        _number(run.best_epoch),
        _Cell(duration_text(run.run_duration) if run.epochs_done else UNKNOWN, run.run_duration),
        _Cell(status),
    ]


def _number(value: int | None) -> _Cell:
    return _Cell(UNKNOWN if value is None else str(value), value)


def _setting(name: str, value: Any) -> _Cell:
    if is_unused(name, value):
        return _Cell(UNKNOWN)
    return _Cell(trial_text(value), value if is_number(value) else None)


def _heading(column: _Column) -> str:
    first = ' data-first="descending"' if column.is_best_high else ""
    kind = ' class="number"' if column.is_number else ""
    return f'<th scope="col"{kind}{first}><button type="button">{text(column.heading)}</button></th>'


def _row(
    results: Results,
    run: RunResult,
    cells: Sequence[_Cell],
    columns: Sequence[_Column],
    page_folder: Path,
    mark: str,
    is_best: bool,
) -> str:
    parts = list(_row_parts(results, run, cells, columns, page_folder, mark))
    state = "best" if is_best else "failed" if run.has_failed else ""
    return f"<tr{f' class={state}' if state else ''}>{''.join(parts)}</tr>\n"


def _row_parts(
    results: Results,
    run: RunResult,
    cells: Sequence[_Cell],
    columns: Sequence[_Column],
    page_folder: Path,
    mark: str,
) -> Iterator[str]:
    for cell, column in zip(cells, columns, strict=True):
        if column.heading == "run" and cell.shown == run.name:
            sign = f"{mark} " if mark else ""
            yield f'<th scope="row">{sign}{_link(results.folder / run.name, page_folder, run.name)}</th>'
            continue
        order = f' data-number="{cell.number!r}"' if cell.number is not None and repr(cell.number) != cell.shown else ""
        yield f"<td{' class=number' if column.is_number else ''}{order}>{text(cell.shown)}</td>"


def _link(folder: Path, page_folder: Path, name: str) -> str:
    address = relative_address(folder, page_folder)
    if address is None:
        return text(name)
    return f'<a href="{text(address)}/">{text(name)}</a>'


def relative_address(path: Path, page_folder: Path) -> str | None:
    """Return the address of a file or folder relative to the page's folder; None if it is missing or on another drive.

    It begins with a dot, so that no name can make it an address of another kind.
    """
    if not path.exists():
        return None
    try:
        relative = Path(os.path.relpath(path.resolve(), page_folder.resolve()))
    except ValueError:
        return None
    return "./" + urllib.parse.quote(os.fsencode(relative.as_posix()))
