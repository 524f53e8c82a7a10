"""The efficient frontier: settings than which no other is both better and cheaper."""

from collections.abc import Callable, Sequence
from statistics import fmean

from rich.console import Group, RenderableType
from rich.text import Text

from cnnsweep.analysis.configurations import Setting, setting_words
from cnnsweep.analysis.results import Results
from cnnsweep.formatting.columns import Column, build_table, figure_column
from cnnsweep.formatting.numbers import align_points, duration_text
from cnnsweep.metrics.objective import Objective

MOST_SHOWN = 8
SHORTEST_TIME = 0.01  # seconds; what is shorter differs by chance


def frontier(
    objective: Objective, settings: Sequence[Setting], cost: Callable[[Setting], float | None]
) -> list[tuple[Setting, float]]:
    """Return the settings than which none is better and no dearer, or as good and cheaper, with their costs.

    The cheapest comes first, so the figures improve down the list. Settings without a figure or cost are left out,
    and those of which a run failed.
    """
    sign = -1.0 if objective.mode == "max" else 1.0
    known = [
        (value, sign * setting.estimate.mean, setting)
        for setting in settings
        if setting.estimate is not None and not setting.failed and (value := cost(setting)) is not None
    ]
    found: list[tuple[Setting, float]] = []
    lowest = float("inf")
    for value, figure, setting in sorted(known, key=lambda entry: entry[:2]):
        if figure < lowest:
            found.append((setting, value))
            lowest = figure
    return found


def frontiers(results: Results, settings: Sequence[Setting], width: int) -> RenderableType | None:
    """Return the frontiers of training time and of parameters, each where it has more than one setting, else None."""
    tables = [
        _table(
            *(results, "time", "fastest", width),
            # One that was stopped in favour of others is not fast.
            frontier(results.sweep.objective, [s for s in settings if not s.was_cut_short], training_time),
            duration_text,
            "time: training time of a run, of runs that train together each one's share",
        ),
        _table(
            *(results, "parameters", "smallest", width),
            frontier(results.sweep.objective, settings, parameters),
            lambda count: f"{count:,.0f}",
            "parameters: how many weights the model has",
        ),
    ]
    parts = [part for table in tables if table for part in (*table, Text())]
    return Group(*parts[:-1]) if parts else None


def training_time(setting: Setting) -> float | None:
    """Return the training time as it is shown: what looks equal is no trade-off, and measured no better than that."""
    seconds = setting.run_duration
    return None if seconds is None else round(max(seconds, SHORTEST_TIME), 2 if seconds < 0.095 else 1)


def parameters(setting: Setting) -> float | None:
    """Return how many weights the model has, the mean over the runs."""
    known = [run.parameters for run in setting.runs if run.parameters is not None]
    return fmean(known) if known else None


def _table(
    results: Results,
    header: str,
    superlative: str,
    width: int,
    found: Sequence[tuple[Setting, float]],
    write: Callable[[float], str],
    legend: str,
) -> list[RenderableType]:
    if len(found) < 2:
        return []
    shown = found[-MOST_SHOWN:]  # the best ones
    objective = results.sweep.objective
    styles = ["green" if setting.place == 1 else "" for setting, _ in shown]
    costs = (
        align_points([write(value) for _, value in shown]) if header == "parameters" else [write(v) for _, v in shown]
    )
    words = [Text(setting_words(results, setting), style) for (setting, _), style in zip(shown, styles, strict=True)]
    means = [setting.estimate.mean for setting, _ in shown if setting.estimate is not None]
    columns = [
        Column(header, [Text(text, style) for text, style in zip(costs, styles, strict=True)], drop=0),
        figure_column(objective.metric, objective, means, styles),
        Column("setting", words, drop=1, justify="left", narrowest=12),
    ]
    title = f"  {superlative} first; no other setting is both better and {superlative.replace('est', 'er')}"
    left = (
        [Text(f"… and {len(found) - MOST_SHOWN:,} {superlative.replace('est', 'er')}", "dim")]
        if len(found) > MOST_SHOWN
        else []
    )
    table = build_table(columns, width)
    return [Text.assemble((f"Best for its {header}", "bold"), (title, "dim")), table, *left, Text(legend, "dim")]
