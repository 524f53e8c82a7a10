"""A sweep's report for people: in words, tables and curves, as wide as the terminal."""

import shlex
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from cnnsweep.display.figures import (
    UNKNOWN,
    count_text,
    duration_text,
    figure_text,
    settings_text,
)
from cnnsweep.display.live_table import BEST_STYLE, STATUS_STYLES
from cnnsweep.display.safe_text import safe_text
from cnnsweep.report.curves import COLOURS, Curve, Plot, draw_side_by_side
from cnnsweep.report.effects_table import effects_table
from cnnsweep.report.one_run import render_run
from cnnsweep.report.ranking import counts_words, ranking, run_words
from cnnsweep.report.results import FIGURES, Results, RunResult
from cnnsweep.report.summary import best_run, group_failures, places

__all__ = ["final_summary", "render_report", "render_run"]

EXAMPLES_SHOWN = 3  # of the runs that failed in one way


def render_report(results: Results, console: Console, top: int | None = None, sort: str | None = None) -> None:
    """Print the whole report: heading, ranked table, best setting, failures, effects and curves.

    Args:
        top: how many runs the table shows; 20 if None, all if 0.
        sort: a column to order the table by, instead of the sweep's metric.

    Raises:
        UsageError: there is no column `sort`; nothing is printed then.
    """
    table = ranking(results, top, sort, console.width)
    console.print(heading(results))
    console.print(table)
    print_best(results, console)
    for section in (failures(results), effects_table(results, console.width), best_curves(results, console.width)):
        if section is not None:
            console.print()
            console.print(section)


def final_summary(results: Results, console: Console) -> None:
    """Print what `cnnsweep run` ends with: the ranked table, the best run, failures, and the next commands to type."""
    console.print(ranking(results, None, None, console.width))
    print_best(results, console)
    failed = failures(results)
    if failed is not None:
        console.print()
        console.print(failed)
    console.print()
    print_fact(console, "report", f"cnnsweep report {_quoted(results.folder)}")
    print_fact(console, "curves", f"tensorboard --logdir {_quoted(results.folder)}")


def heading(results: Results) -> Text:
    """Return the sweep in words: what was trained on what, how it stands, and what decides."""
    sweep, objective = results.sweep, results.sweep.objective
    threads = f", {count_text(sweep.threads, 'thread')}" if sweep.threads else ""
    text = Text.assemble((safe_text(sweep.name), "bold"), f"  {safe_text(sweep.model)} on {safe_text(sweep.dataset)}")
    if sweep.description:
        text.append(f"\n{safe_text(sweep.description)}")
    text.append(f"\n{counts_words(results)}")
    if sweep.status != "finished":
        go_on = "; the same 'cnnsweep run' command goes on" if sweep.status == "interrupted" else ""
        text.append(f"; the sweep is {sweep.status}{go_on}", "yellow")
    text.append(
        f"\n{duration_text(sweep.duration)} of training on {safe_text(sweep.device)}{threads}, "
        f"{safe_text(sweep.precision)}\n"
    )
    better = "higher" if objective.mode == "max" else "lower"
    text.append(f"Ranked by {objective.metric}, {better} is better; each run at its best epoch.\n")
    if not objective.metric.startswith("val_"):
        text.append(
            "Selected on training figures, gathered while the weights moved: new images may rank the runs otherwise.\n",
            "yellow",
        )
    return text


def print_best(results: Results, console: Console) -> None:
    """Print the best setting in words, its checkpoint, and the command that tests it."""
    run = best_run(results)
    console.print()
    if run is None:
        goes_on = any(not run.status.is_final for run in results.runs)
        console.print(Text("No run has a figure yet." if goes_on else "No run has a figure to rank.", "yellow"))
        return
    sweep = results.sweep
    names = sweep.axes or [name for name in sweep.hyperparameters if run.settings[name] is not None]
    figures = [f"{metric} {figure_text(metric, run.figure(metric))}" for metric in _metric_first(results, run)]
    print_fact(console, "best", settings_text(run.settings, names, ", ") or safe_text(run.name), BEST_STYLE)
    print_fact(console, "", f"{', '.join(figures)} in epoch {run.best_epoch or UNKNOWN} of {run.epochs_done}")
    if run.checkpoint:
        print_fact(console, "checkpoint", safe_text(results.folder / run.checkpoint))
        print_fact(console, "test it", f"cnnsweep evaluate --checkpoint {_quoted(results.folder / run.name)}")


def print_fact(console: Console, label: str, text: str, style: str = "") -> None:
    """Print one labelled line, unbroken so that paths and commands can be copied."""
    console.print(Text.assemble((label.ljust(12), "dim"), (text, style)), soft_wrap=True)


def _metric_first(results: Results, run: RunResult) -> list[str]:
    """Return the measured figures' names, the deciding one first."""
    measured = [metric for metric in FIGURES if run.figure(metric) is not None]
    return sorted(measured, key=lambda metric: metric != results.sweep.objective.metric)


def _quoted(path: Path) -> str:
    return safe_text(shlex.quote(str(path)))


def failures(results: Results) -> RenderableType | None:
    """Return why runs failed, with a few examples of each cause, or None if none did."""
    groups = group_failures(results)
    if not groups:
        return None
    lines: list[RenderableType] = [Text("Failures", "bold")]
    for group in groups:
        status = (f"{len(group.runs):,} {group.status.value}", STATUS_STYLES[group.status])
        lines.append(Text.assemble(status, f": {safe_text(group.cause)}"))
        examples = [run_words(results, run) for run in group.runs[:EXAMPLES_SHOWN]]
        if len(group.runs) > EXAMPLES_SHOWN:
            examples.append(f"… and {len(group.runs) - EXAMPLES_SHOWN:,} more")
        lines += [Padding(Text(example, "dim"), (0, 0, 0, 2)) for example in examples]
    return Group(*lines)


def best_curves(results: Results, width: int) -> RenderableType | None:
    """Return accuracy and loss of the best few runs over the epochs, or None where no run has two epochs."""
    prefix = "val_" if results.sweep.objective.metric.startswith("val_") else ""
    by_name = {run.name: run for run in results.runs}
    place = places(results)
    runs = [by_name[name] for name in list(place)[: len(COLOURS)] if len(results.epochs[name]) > 1]
    plots = []
    for metric in (f"{prefix}accuracy", f"{prefix}loss"):
        curves = []
        for run, colour in zip(runs, COLOURS, strict=False):
            points = [(row.epoch, y) for row in results.epochs[run.name] if (y := row.figure(metric)) is not None]
            if points:
                xs, ys = zip(*points, strict=True)
                curves.append(Curve(str(place[run.name]), xs, ys, colour))
        if curves:
            plots.append(Plot(f"{metric} by epoch", tuple(curves)))
    if not plots:
        return None
    legend = [
        Text.assemble((f"{place[run.name]} ━━ ", colour), run_words(results, run), no_wrap=True, overflow="ellipsis")
        for run, colour in zip(runs, COLOURS, strict=False)
    ]
    return Group(draw_side_by_side(plots, width), *legend)
