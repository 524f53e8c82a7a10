"""The report of one run: its hyperparameters, its epochs, and the loss of every batch."""

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from cnnsweep.analysis.baseline import mark_legend, runs_at_baseline, starred_run
from cnnsweep.analysis.chart_batches import batch_chart, load_batch_losses
from cnnsweep.analysis.chart_stopping import stop_words
from cnnsweep.analysis.find_results import find_named
from cnnsweep.analysis.results import Results, RunResult
from cnnsweep.analysis.test_results import deciding_of, test_words
from cnnsweep.analysis.trials import group_trials, replicate_words
from cnnsweep.formatting.columns import Column, build_table, metric_column
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text, duration_text, metric_text, trial_text
from cnnsweep.metrics.names import ACCURACY, LOSS, on_validation, without_prefix
from cnnsweep.progress.live_table import BEST_STYLE, STATUS_STYLES
from cnnsweep.report.curves import Curve, Plot, draw_side_by_side
from cnnsweep.report.former_runs import LABEL
from cnnsweep.report.metrics_table import MOST_PLOTS, PLOTS_LEFT_OUT, metrics_table
from cnnsweep.report.run_status import run_epochs_words
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.types import end_words

_TRAINING, _VALIDATION = "t", "v"  # labels of curves
_IMAGES = {_TRAINING: "training", _VALIDATION: "validation"}


def render_run(results: Results, run: str, console: Console) -> None:
    """Print one run: its outcome, hyperparameters, epochs and curves.

    Args:
        run: its name or id, or a beginning of either that no other run shares.

    Raises:
        UsageError: no run, or several, have this name.
        ResultsError: its `batch_loss.csv` is damaged.
    """
    found = find_run(results, run)
    losses = load_batch_losses(SweepPaths(results.folder).run(found.name).batch_losses)
    console.print(_heading(results, found))
    console.print(_settings(results, found, console.width))
    console.print()
    if results.epochs[found.name]:
        console.print(_epochs(results, found, console.width))
    if (table := metrics_table(results, found)) is not None:
        console.print()
        console.print(table)
    of_metrics = _epoch_plots(results, found)
    if plots := [*of_metrics[:MOST_PLOTS], *_batch_plot(losses, found)]:
        console.print()
        console.print(draw_side_by_side(plots, console.width))
    if len(of_metrics) > MOST_PLOTS:
        left_out = count_text(len(of_metrics) - MOST_PLOTS, "more metric")
        console.print(Text(PLOTS_LEFT_OUT.format(left_out), "dim"))


def find_run(results: Results, wanted: str) -> RunResult:
    """Return the run with this name or id, or the only one with a name or id that begins with it.

    Raises:
        UsageError: no run, or several, have this name.
    """
    return find_named((*results.runs, *results.former), wanted, results.sweep.name)


def _heading(results: Results, run: RunResult) -> Text:
    text = Text.assemble(
        (safe_text(run.name), "bold"), "  ", (end_words(run.status, run.failure), STATUS_STYLES[run.status])
    )
    if run.cause and not run.stop:  # a stopped run has a line of its own
        text.append(f": {safe_text(run.cause)}")
    if run.name == starred_run(results):
        text.append("  ★ best of the sweep", BEST_STYLE)
    elif run.name in runs_at_baseline(results):
        text.append(f"  {mark_legend(results)}", "magenta")
    if not run.in_file:
        text.append(f"  {LABEL}", "magenta")
    epochs = run_epochs_words(run)
    weights = f", {run.parameters:,} parameters" if run.parameters is not None else ""
    text.append(f"\n{epochs} in {duration_text(run.run_duration)}{weights}\n", "dim")
    if run.stop:
        text.append(f"stopped early: {stop_words(results, run.stop)}\n")
    replicates = _replicate_words(results, run)
    if replicates:
        text.append(f"{replicates}\n", "dim")
    for test in results.tests:
        if test.run == run.name:
            text.append(f"tested: {test_words(test, deciding_of(results, [test]))}\n")
    return text


def _replicate_words(results: Results, run: RunResult) -> str:
    """Return the rank of the run within its trial; empty if it is the only one."""
    if not any(other.trial_id == run.trial_id and other is not run for other in results.runs):
        return ""
    trials = group_trials(results)
    trial = next((part for part in trials if part.trial_id == run.trial_id), None)
    if trial is None or not run.in_file:
        return ""
    metric, found = results.sweep.objective.metric, trial.estimate
    fold = "" if run.fold is None else f"fold {run.fold}, "
    mean = ""
    if found is not None:
        half = "" if found.half is None else f" ± {metric_text(metric, found.half)}"
        mean = f": mean {metric} {metric_text(metric, found.mean)}{half} over {replicate_words(trial.figures)}"
    return f"{fold}one of {count_text(len(trial.runs), 'run')} of its trial{mean}"


def _settings(results: Results, run: RunResult, width: int) -> RenderableType:
    """Return the hyperparameters as name and value, in as many columns as fit; varying ones are bold."""
    cells = [
        Text.assemble((f"{safe_text(name)} ", "dim"), (trial_text(value), "bold" if name in results.sweep.axes else ""))
        for name, value in run.params.items()
    ]
    widest = max((cell.cell_len for cell in cells), default=1)
    per_line = max(width // (widest + 3), 1)
    grid = Table.grid(padding=(0, 3, 0, 0))
    for start in range(0, len(cells), per_line):
        grid.add_row(*cells[start : start + per_line])
    return grid


def _epochs(results: Results, run: RunResult, width: int) -> Text:
    rows = results.epochs[run.name]
    styles = ["green" if row.epoch == run.best_epoch else "" for row in rows]
    metrics = [metric for metric in results.sweep.recorded if any(row[metric] is not None for row in rows)]
    columns = [
        Column("", [Text("★" if row.epoch == run.best_epoch else " ", BEST_STYLE) for row in rows], drop=0),
        Column("epoch", [Text(str(row.epoch), style) for row, style in zip(rows, styles, strict=True)], drop=0),
        *(metric_column(metric, results.sweep.objective, [row[metric] for row in rows], styles) for metric in metrics),
        Column("time", [Text(duration_text(row.epoch_duration), "dim") for row in rows], drop=20),
    ]
    return build_table(columns, width)


def _epoch_plots(results: Results, run: RunResult) -> list[Plot]:
    """Return each metric over the epochs, training (t) against validation (v); the deciding one first."""
    rows, decides = results.epochs[run.name], without_prefix(results.sweep.objective.metric)
    names = dict.fromkeys((ACCURACY, LOSS, *(metric.name for metric in results.sweep.metrics)))
    plots = []
    for name in sorted(names, key=lambda name: name != decides):
        curves = []
        for metric, label, colour in ((on_validation(name), _VALIDATION, "green"), (name, _TRAINING, "cyan")):
            points = [(row.epoch, y) for row in rows if (y := row[metric]) is not None]
            if len(points) > 1:
                xs, ys = zip(*points, strict=True)
                curves.append(Curve(label, xs, ys, colour))
        if curves:
            words = "t training, v validation" if len(curves) > 1 else _IMAGES[curves[0].label]
            plots.append(Plot(f"{name} by epoch ({words})", tuple(curves)))
    return plots


def _batch_plot(losses: Sequence[float], run: RunResult) -> list[Plot]:
    chart = batch_chart(losses, run.name, run.name)
    if chart is None:
        return []
    xs, ys = zip(*chart.points, strict=True)
    return [Plot(chart.title, (Curve("t", xs, ys, "cyan"),))]
