"""A comparison of sweeps in the terminal: all trials in one ranked table, shared trials, and differences."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cnnsweep.analysis.axes import has_replicates
from cnnsweep.analysis.baseline import AT_BASELINE, unpraised_trial_words
from cnnsweep.analysis.compare import Comparison, RankedTrial, by_metric
from cnnsweep.analysis.compare_differences import UNKNOWN_FACT, Distinction
from cnnsweep.analysis.compare_sources import Source
from cnnsweep.analysis.intervals import interval_cells, mean_text
from cnnsweep.analysis.ties import is_equal, mark
from cnnsweep.analysis.trials import replicate_words
from cnnsweep.formatting.columns import Column, build_table, metric_column, setting_column
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN, align_points, count_text, trial_text
from cnnsweep.progress.live_table import BEST_STYLE, STATUS_STYLES
from cnnsweep.report.compare_classes import classes_section
from cnnsweep.report.compare_shared import hidden_words, shared_section
from cnnsweep.report.former_runs import former_words
from cnnsweep.report.ranking import DEFAULT_TOP, counts_words
from cnnsweep.types import RunStatus

LONGEST_VALUE = 160  # characters of one value among the differences
SHORT_HASH = 12


def render_comparison(comparison: Comparison, console: Console, top: int | None = None) -> None:
    """Print a comparison.

    Args:
        top: the number of trials in the tables; 20 if None, all if 0.
    """
    rows = (DEFAULT_TOP if top is None else top) or None
    console.print(_legend(comparison))
    for warning in comparison.warnings:
        console.print(Text(warning, "magenta"))
    console.print()
    console.print(_ranked(comparison, rows, console.width))
    by_class = [] if comparison.classes is None else [classes_section(comparison.classes)]
    for section in (shared_section(comparison, rows, console.width), *by_class, _differences(comparison)):
        if section is not None:
            console.print()
            console.print(section)


def _legend(comparison: Comparison) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for source in comparison.sources:
        sweep, results = source.results.sweep, source.results
        of = f" of {count_text(len({run.trial_id for run in results.runs}), 'trial')}"
        text = Text.assemble(
            (safe_text(source.name), "bold"),
            f"  {safe_text(sweep.model) or 'several models'} on {safe_text(sweep.dataset)}  ",
            (safe_text(source.path), "dim"),
            f"\n{counts_words(results, of if has_replicates(results) else '')}",
        )
        if sweep.status != "finished":
            text.append(f"; the sweep is {sweep.status}", "magenta")
        best = next((one for one in comparison.trials if one.source is source and one.trial.place is not None), None)
        if source.results.former:
            text.append(f"; {former_words(source.results)}", "dim")
        by_metric_results = by_metric(results, comparison.objective)
        unpraised = unpraised_trial_words(by_metric_results, None if best is None else best.trial)
        if unpraised is not None:
            text.append(f"\n{unpraised}", "magenta")
        elif best is not None:
            text.append(f"; its best is #{best.trial.place}, {_mean_text(comparison, best)}")
        grid.add_row(Text(source.letter, "bold"), text)
    return grid


def _mean_text(comparison: Comparison, one: RankedTrial) -> str:
    metric, found = comparison.objective.metric, one.trial.estimate
    if found is None:
        return f"{metric} {UNKNOWN}"
    of = f", mean of {replicate_words(one.trial.figures)}" if found.count > 1 else ""
    return f"{metric} {mean_text(metric, found)}{of}"


# The ranked table.


def _ranked(comparison: Comparison, rows: int | None, width: int) -> RenderableType:
    shown, trials = comparison.trials[:rows], comparison.trials
    if not trials:
        return Text("No run has a metric yet.", "magenta")
    best, is_starred = trials[0], trials[0].is_better is not False
    columns = _columns(comparison, shown, is_starred=is_starred)
    parts: list[RenderableType] = [build_table(columns, width)]
    if len(trials) > len(shown):
        parts.append(Text(f"… and {len(trials) - len(shown):,} more: --top 0 shows all", "dim"))
    parts += hidden_words(columns, comparison.axes, width)
    has_intervals = any(one.trial.estimate is not None and one.trial.estimate.half is not None for one in shown)
    has_ends = any(".." in cell for cell in _interval_cells(comparison, shown))
    legend = "95 %: interval of the mean; " if has_ends else "mean ± half its 95 % interval; " if has_intervals else ""
    tied = [one for one in trials if one.trial.tied]
    is_best_decided = any(one.trial.place == 1 for one in tied)
    equal = sum(is_equal(one.trial, best.trial) for one in trials[1:])
    if not is_starred:
        legend += "no trial is marked as the best"
    else:
        legend += ("★ best mean" if has_intervals else "★ best") + (", = exactly the same" if equal else "")
    if any(one.is_better is False for one in shown):
        legend += f", {AT_BASELINE} no better than a constant answer"
    if tied and not is_best_decided:
        legend += ", ≈ may be the best of those with several runs"
    elif len(tied) > 1 + equal:
        legend += ", ≈ tied with it"
    parts.append(Text(legend, "dim"))
    if any(one.trial.failed for one in trials):
        parts.append(Text("Trials with a failed run come last: their other seeds are a biased sample.", "dim"))
    known = [one for one in trials if one.figures]
    if len(known) > 1 and sum(one.trial.tied is not None for one in known) < 2:
        parts.append(
            Text("Certainty of the best: unknown; this needs two trials with two seeds each, none failed.", "dim")
        )
    return Group(*parts)


def _columns(comparison: Comparison, shown: Sequence[RankedTrial], *, is_starred: bool) -> list[Column]:
    objective, metric = comparison.objective, comparison.objective.metric
    styles, best = [_style(one) for one in shown], comparison.trials[0].trial

    def texts(written: Sequence[str]) -> list[Text]:
        return [Text(text, style) for text, style in zip(align_points(written), styles, strict=True)]

    means = [None if one.trial.estimate is None else one.trial.estimate.mean for one in shown]
    halves = [None if one.trial.estimate is None else one.trial.estimate.half for one in shown]
    names = [Text(safe_text(one.trial.runs[0].name), style) for one, style in zip(shown, styles, strict=True)]
    interval = _interval_cells(comparison, shown)
    return [
        Column(
            "", [Text(mark(one.trial, best, is_starred, one.is_better is False), BEST_STYLE) for one in shown], drop=0
        ),
        Column("#", texts([str(one.trial.place or UNKNOWN) for one in shown]), drop=0),
        Column(
            "sweep",
            [Text(one.source.letter, style) for one, style in zip(shown, styles, strict=True)],
            drop=1,
            justify="left",
        ),
        *(setting_column(axis, [one.values.get(axis) for one in shown], styles, drop=4) for axis in comparison.axes),
        *([] if comparison.axes else [Column("run", names, drop=4, justify="left", narrowest=12)]),
        metric_column(metric, objective, means, styles),
        *([Column("95 %", texts(interval), drop=3)] if any(half is not None for half in halves) else []),
        Column("runs", texts([str(len(one.figures)) for one in shown]), drop=7),
        *_status_column(shown),
    ]


def _interval_cells(comparison: Comparison, shown: Sequence[RankedTrial]) -> list[str]:
    return interval_cells(comparison.objective.metric, [one.trial.estimate for one in shown])


def _style(one: RankedTrial) -> str:
    if one.trial.place == 1:
        return "green"
    return "dim" if one.trial.failed or one.trial.place is None else ""


def _status_column(shown: Sequence[RankedTrial]) -> list[Column]:
    """Return the number of runs that did not finish; no column if all finished."""
    counts = [Counter(run.status for run in one.trial.runs) for one in shown]
    if all(set(count) <= {RunStatus.FINISHED} for count in counts):
        return []
    cells = []
    for count in counts:
        parts = [(f"{count[status]:,} {status.value}", STATUS_STYLES[status]) for status in RunStatus if count[status]]
        cells.append(Text(", ").join(Text(*part) for part in parts))
    return [Column("status", cells, drop=5, justify="left", narrowest=11)]


# Differences.


def _differences(comparison: Comparison) -> RenderableType:
    parts: list[RenderableType] = []
    if comparison.distinctions:
        parts.append(Text("Differences between the sweeps", "bold"))
        if len(comparison.sources) == 2:
            parts[0] = Text.assemble(("Differences between the sweeps", "bold"), ("  A → B", "dim"))
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for one in comparison.distinctions:
            grid.add_row(Text(safe_text(one.name), "dim"), Text(_distinction_words(one, len(comparison.sources) == 2)))
        parts += [Text(), grid]
    else:
        parts.append(Text("No recorded property differs between the sweeps.", "dim"))
    parts += [Text(_missing_words(source), "dim") for source in comparison.sources if source.missing]
    return Group(*parts)


def _distinction_words(one: Distinction, are_two: bool) -> str:
    """Return `[32] → [64]`, or with more than two sweeps `A, C: [32]; B: [64]`."""
    written = {letter: _value_text(one.name, value) for letter, value in one.values.items()}
    if are_two:
        return " → ".join(written.values())
    letters: dict[str, list[str]] = {}
    for letter, text in written.items():
        letters.setdefault(text, []).append(letter)
    return "; ".join(f"{', '.join(group)}: {text}" for text, group in letters.items())


def _value_text(name: str, value: Any) -> str:
    if value is UNKNOWN_FACT:
        return "not known"
    if value is None:
        return UNKNOWN
    text = trial_text(value)
    if name == "data SHA-256":
        return f"{text[:SHORT_HASH]}…"
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def _missing_words(source: Source) -> str:
    return f"{source.letter} is incomplete: {'; '.join(map(safe_text, source.missing))}."
