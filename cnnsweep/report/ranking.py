"""The ranked table of a sweep whose trials have one run each, for a terminal of any width."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from cnnsweep.analysis.baseline import AT_BASELINE, mark_legend, runs_at_baseline, starred_run
from cnnsweep.analysis.results import Results, RunResult
from cnnsweep.analysis.summary import places, rank_runs
from cnnsweep.analysis.ties import EQUAL, STAR, equal_runs
from cnnsweep.formatting.columns import Column, build_table, fit_columns, metric_column, setting_column
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN, count_text, duration_text, trials_text
from cnnsweep.formatting.sparkline import curve_column
from cnnsweep.progress.live_table import BEST_STYLE, STATUS_STYLES
from cnnsweep.types import RunStatus, end_words

DEFAULT_TOP = 20
EQUAL_LEGEND = "= exactly the {} of ★"
ONE_RUN = "One run per trial: differences may be noise of the seed; check with `seeds: 5`."


def ranking(results: Results, top: int | None, sort: str | None, width: int) -> RenderableType:
    """Return the table of the first `top` runs (20 if None, all if 0), and the number of those left out."""
    ranked = rank_runs(results, sort)
    best, at_baseline = starred_run(results), runs_at_baseline(results)
    equal = equal_runs(results, best)
    marks = {run.name: run_mark(run.name, best, equal, at_baseline) for run in ranked}
    shown = ranked[: (DEFAULT_TOP if top is None else top) or None]
    parts = table_parts(results, _columns(results, shown, marks), len(ranked) - len(shown), width)
    if equal:
        parts.append(Text(EQUAL_LEGEND.format(results.sweep.objective.metric), "dim"))
    if any(run.name in at_baseline for run in shown):
        parts.append(Text(mark_legend(results) or "", "dim"))
    if len({run.trial_id for run in results.runs}) > 1:
        parts.append(Text(ONE_RUN, "dim"))
    return Group(*parts)


def table_parts(results: Results, columns: Sequence[Column], rest: int, width: int) -> list[RenderableType]:
    """Return the table, the number of omitted rows, and the hyperparameters omitted for lack of room."""
    parts: list[RenderableType] = [build_table(columns, width)]
    if rest:
        parts.append(Text(f"… and {rest:,} more: --top 0 shows all", "dim"))
    fitted = {id(column) for column, _ in fit_columns(columns, width)}
    trials = set(map(safe_text, results.sweep.hyperparameters))
    hidden = [column.header for column in columns if column.header in trials and id(column) not in fitted]
    if hidden:
        parts.append(Text(f"too narrow for {', '.join(hidden)}: widen the terminal or use --format", "dim"))
    return parts


def _columns(results: Results, runs: Sequence[RunResult], marks: Mapping[str, str]) -> list[Column]:
    sweep, place = results.sweep, places(results)
    styles = [_style(run, marks[run.name] == STAR) for run in runs]
    names = [Text(safe_text(run.name), style) for run, style in zip(runs, styles, strict=True)]
    metrics = [metric for metric in results.sweep.recorded if any(run[metric] is not None for run in results.runs)]
    return [
        Column("", [Text(marks[run.name] or " ", BEST_STYLE) for run in runs], drop=0),
        Column(
            "#", [Text(str(place.get(run.name, UNKNOWN)), style) for run, style in zip(runs, styles, strict=True)], 0
        ),
        *(setting_column(axis, [run.params[axis] for run in runs], styles, drop=3) for axis in sweep.axes),
        *([] if sweep.axes else [Column("run", names, drop=3, justify="left", narrowest=12)]),
        Column("epoch", [Text(run.epochs_text) for run in runs], drop=6),
        *_best_epoch_column(runs),
        *(metric_column(metric, sweep.objective, [run[metric] for run in runs], styles) for metric in metrics),
        *_curve_column(results, runs, styles),
        Column("time", [Text(_time(run), "dim") for run in runs], drop=20),
        *_status_column(runs),
    ]


def run_mark(name: str, best: str | None, equal: Collection[str], at_baseline: Collection[str]) -> str:
    """Return the mark before a run: best, at the baseline, or exactly equal to the best; empty for any other."""
    if name == best:
        return STAR
    return AT_BASELINE if name in at_baseline else EQUAL if name in equal else ""


def _curve_column(results: Results, runs: Sequence[RunResult], styles: Sequence[str]) -> list[Column]:
    metric = results.sweep.objective.metric
    curves = [[row[metric] for row in results.epochs[run.name]] for run in runs]
    return curve_column(curves, longest(runs), styles)


def longest(runs: Iterable[RunResult]) -> int:
    """Return the number of epochs of the longest run, trained or planned: the width of their curves."""
    return max((max(run.epochs_done, run.epochs_planned or 0) for run in runs), default=0)


def _best_epoch_column(runs: Sequence[RunResult]) -> list[Column]:
    """Return the epoch of the shown metrics; no column if it is the last epoch of every run."""
    if all(run.best_epoch in (None, run.epochs_done) for run in runs):
        return []
    return [Column("best at", [Text(str(run.best_epoch or UNKNOWN)) for run in runs], drop=8)]


def _style(run: RunResult, is_best: bool) -> str:
    if is_best:
        return "green"
    return "dim" if run.has_failed or run.status is RunStatus.WAITING else ""


def _time(run: RunResult) -> str:
    return duration_text(run.run_duration) if run.epochs_done else UNKNOWN


def _status_column(runs: Sequence[RunResult]) -> list[Column]:
    """Return the status of runs, with the cause if there is room; no column if all finished."""
    if all(run.status is RunStatus.FINISHED for run in runs):
        return []
    cells = []
    for run in runs:
        has_news = run.cause and run.status is not RunStatus.INTERRUPTED
        cause = f": {safe_text(run.cause)}" if has_news else ""
        words = end_words(run.status, run.failure)
        cells.append(Text.assemble((words, STATUS_STYLES[run.status]), (cause, "dim")))
    return [Column("status", cells, drop=5, justify="left", narrowest=max(len(run.status.value) for run in runs) + 1)]


def counts_words(results: Results, of: str = "") -> str:
    """Return `8 runs: 7 finished, 1 diverged`; `of` follows the first two words."""
    counts = {status: sum(run.status is status for run in results.runs) for status in RunStatus}
    parts = [f"{count:,} {status.value}" for status, count in counts.items() if count]
    return f"{count_text(len(results.runs), 'run')}{of}{': ' if parts else ''}{', '.join(parts)}"


def run_words(results: Results, run: RunResult) -> str:
    """Return the varying hyperparameters of a run, or its name if none varies."""
    return trials_text(run.params, results.sweep.axes) or safe_text(run.name)
