"""A sweep's report in the terminal: words, tables and curves of its width."""

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.text import Text

from cnnsweep.analysis import chart_learning
from cnnsweep.analysis.axes import has_replicates
from cnnsweep.analysis.baseline import caution_words
from cnnsweep.analysis.chart_cost import cost_charts
from cnnsweep.analysis.chart_effects import effects_chart, noise_words
from cnnsweep.analysis.chart_importance import importance_chart, interaction_chart
from cnnsweep.analysis.chart_learning import LearningChart, learning_charts
from cnnsweep.analysis.chart_stopping import saving_words, stopping_chart
from cnnsweep.analysis.importance import NEEDS_OPTUNA, importance
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.significance import short_significance_words
from cnnsweep.analysis.summary import time_words
from cnnsweep.analysis.test_results import tested
from cnnsweep.analysis.trials import (
    Trial,
    group_trials,
)
from cnnsweep.formatting.class_counts import class_lines
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import (
    count_text,
    trial_text,
)
from cnnsweep.metrics.names import is_on_validation
from cnnsweep.metrics.objective import BEST, LAST
from cnnsweep.report.best_trial import print_best
from cnnsweep.report.cost_table import cost_tables
from cnnsweep.report.curves import COLOURS, Curve, Plot, draw_side_by_side
from cnnsweep.report.effects_table import effects_table
from cnnsweep.report.failures import print_failures
from cnnsweep.report.former_runs import print_former
from cnnsweep.report.importance_table import share_bars
from cnnsweep.report.key_values import print_fact, quoted
from cnnsweep.report.metrics_table import MOST_PLOTS, PLOTS_LEFT_OUT
from cnnsweep.report.ranking import counts_words, ranking
from cnnsweep.report.stopping import stopping_table
from cnnsweep.report.trial import render_run
from cnnsweep.report.trials_table import trials_table

__all__ = ["final_summary", "render_report", "render_run"]

SUMMARY_TOP = 10  # rows of the table at the end of a run


def render_report(results: Results, console: Console, top: int | None = None, sort: str | None = None) -> None:
    """Print the whole report: heading, ranked table, best trial, failures, effects and curves.

    Args:
        top: the number of runs in the table; 20 if None, all if 0.
        sort: a column to order the table by, instead of the sweep's metric.

    Raises:
        UsageError: there is no column `sort`; nothing is printed then.
    """
    trials = group_trials(results)
    table = _table(results, trials, top, sort, console.width)
    console.print(heading(results))
    console.print(table)
    print_best(results, trials, console)
    in_tests = tested(results, trials)
    if in_tests is not None:
        console.print()
        console.print(in_tests)
    print_failures(results, console)
    print_former(results, console)
    for section in _sections(results, trials, console.width):
        console.print()
        console.print(section)


def _sections(results: Results, trials: Sequence[Trial], width: int) -> Iterator[RenderableType]:
    if (stopped := stopping_chart(results, trials)) is not None:
        yield stopping_table(stopped, width)
    if (counts := results.sweep.part_counts) is not None:
        yield Text("\n".join(class_lines(counts)), "dim")
    found = effects_chart(results, trials)
    if found is not None and (caution := caution_words(results, trials)) is not None:
        yield Text(caution, "magenta")
    if found is not None:
        yield effects_table(found, width)
    elif (noise := noise_words(results.sweep.objective, trials)) is not None:
        yield Text(noise)
    yield from _shares(results, trials, width)
    if (costs := cost_tables(cost_charts(results, trials), results.sweep.objective, width)) is not None:
        yield costs
    charts = learning_charts(results, trials)
    if (curves := learning_plots(charts[:MOST_PLOTS], width)) is not None:
        yield curves
    if len(charts) > MOST_PLOTS:
        yield Text(PLOTS_LEFT_OUT.format(count_text(len(charts) - MOST_PLOTS, "more metric")), "dim")


def _shares(results: Results, trials: Sequence[Trial], width: int) -> Iterator[RenderableType]:
    shares = importance(results, trials)
    if shares is None:
        yield Text(NEEDS_OPTUNA, "dim")
    for chart in (importance_chart(results, trials, shares), interaction_chart(results, trials)):
        if chart is not None:
            yield share_bars(chart, width)


def _table(results: Results, trials: Sequence[Trial], top: int | None, sort: str | None, width: int) -> RenderableType:
    if has_replicates(results):
        return trials_table(results, trials, top, sort, width)
    return ranking(results, top, sort, width)


def final_summary(results: Results, console: Console) -> None:
    """Print the end of `cnnsweep run`: the best few, failures, and the next commands. `report` has the rest."""
    trials = group_trials(results)
    if has_replicates(results):
        # In an interrupted sweep, runs without a metric have no row.
        top = min(sum(trial.place is not None or trial.failed > 0 for trial in trials) or 1, SUMMARY_TOP)
        console.print(trials_table(results, trials, top, None, console.width, brief=True))
    else:
        console.print(ranking(results, SUMMARY_TOP, None, console.width))
    print_best(results, trials, console)
    sure = short_significance_words(results, trials)
    if sure is not None:
        print_fact(console, "how sure", sure)
    if any(run.stop for run in results.runs):
        print_fact(console, "stopped", saving_words(results))
    print_failures(results, console)
    print_former(results, console)
    console.print()
    print_fact(console, "report", f"cnnsweep report {quoted(results.folder)}")
    print_fact(console, "curves", f"tensorboard --logdir {quoted(results.folder)}")


def heading(results: Results) -> Text:
    """Return the sweep in words: model, data set, status and objective."""
    sweep, objective = results.sweep, results.sweep.objective
    model = safe_text(sweep.model)  # empty if models are compared
    threads = f", {count_text(sweep.threads, 'thread')}" if sweep.threads else ""
    text = Text.assemble(
        (safe_text(sweep.name), "bold"), f"  {f'{model} on ' if model else ''}{safe_text(sweep.dataset)}"
    )
    if sweep.description:
        text.append(f"\n{safe_text(sweep.description)}")
    replicated = f" of {count_text(len({run.trial_id for run in results.runs}), 'trial')}"
    text.append(f"\n{counts_words(results, replicated if has_replicates(results) else '')}{_search_words(results)}")
    if sweep.status != "finished":
        go_on = "; resume it with the same 'cnnsweep run' command" if sweep.status == "interrupted" else ""
        text.append(f"; the sweep is {sweep.status}{go_on}", "magenta")
    text.append(f"\n{time_words(results)} on {safe_text(sweep.device)}{threads}, {safe_text(sweep.precision)}\n")
    better = "higher" if objective.mode == "max" else "lower"
    text.append(f"Ranked by {objective.metric}, {better} is better; {_scope_words(results)}.\n")
    if not is_on_validation(objective.metric):
        text.append(
            "Selected by training metrics, measured while the weights moved: new images may rank the runs otherwise.\n",
            "magenta",
        )
    return text


def _scope_words(results: Results) -> str:
    scope = results.sweep.objective.scope
    if scope == BEST:
        return "each run at its best epoch"
    if scope == LAST:
        return "each run at its last epoch"
    return f"each run by the mean of its last {count_text(results.sweep.objective.window, 'epoch')}"


def _search_words(results: Results) -> str:
    """Return the search and the split of images, ` (random search, 200 runs, seed 0; 5 folds)`."""
    parts = []
    if results.sweep.search is not None:
        search = results.sweep.search
        known = {"runs": "{} draws", "seed": "seed {}"}
        words = [f"{trial_text(search.get('method', 'a'))} search"]
        words += [text.format(trial_text(search[key])) for key, text in known.items() if search.get(key) is not None]
        parts.append(", ".join(words))
    if results.sweep.folds:
        parts.append(f"cross-validation in {count_text(results.sweep.folds, 'fold')}")
    return f" ({'; '.join(parts)})" if parts else ""


def learning_plots(charts: Sequence[LearningChart], width: int) -> RenderableType | None:
    """Return the curves of the best few trials side by side, with one legend; None without any."""
    if not charts:
        return None
    plots = [Plot(chart.title, tuple(map(_curve, chart.curves, COLOURS))) for chart in charts]
    legend = {
        curve.place: Text.assemble((f"{curve.place} ━━ ", colour), curve.words, no_wrap=True, overflow="ellipsis")
        for chart in charts
        for curve, colour in zip(chart.curves, COLOURS, strict=False)
    }
    return Group(draw_side_by_side(plots, width), *legend.values())


def _curve(curve: chart_learning.Curve, colour: str) -> Curve:
    xs, ys = zip(*((point.epoch, point.mean) for point in curve.points), strict=True)
    return Curve(str(curve.place), xs, ys, colour)
