"""Efficient trials as a table, for each cost."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from cnnsweep.analysis.chart_cost import CostChart
from cnnsweep.formatting.columns import Column, build_table, metric_column
from cnnsweep.formatting.numbers import align_points
from cnnsweep.metrics.objective import Objective

MOST_SHOWN = 8


def cost_tables(charts: Sequence[CostChart], objective: Objective, width: int) -> RenderableType | None:
    """Return the efficient trials for each cost that has more than one; None without such a cost."""
    parts = [
        part
        for chart in charts
        if len(chart.efficient.points) > 1
        for part in (*_table(chart, objective, width), Text())
    ]
    return Group(*parts[:-1]) if parts else None


def _table(chart: CostChart, objective: Objective, width: int) -> list[RenderableType]:
    points, name = chart.efficient.points, chart.cost.removeprefix("training ")
    shown = points[-MOST_SHOWN:]  # the best ones
    styles = ["green" if point.place == 1 else "" for point in shown]
    costs = [point.cost_text for point in shown]
    columns = [
        Column(
            name,
            [Text(text, style) for text, style in zip(align_points(costs), styles, strict=True)],
            drop=0,
        ),
        metric_column(objective.metric, objective, [point.mean for point in shown], styles),
        Column(
            "trial",
            [Text(point.words, style) for point, style in zip(shown, styles, strict=True)],
            drop=1,
            justify="left",
            narrowest=12,
        ),
    ]
    cheaper = chart.superlative.replace("est", "er")
    meaning = f"  {chart.superlative} first; no other trial is both better and {cheaper}"
    title = Text.assemble((f"Best for its {name}", "bold"), (meaning, "dim"))
    rest = len(points) - len(shown)
    left = [Text(f"… and {rest:,} {cheaper}", "dim")] if rest else []
    return [title, build_table(columns, width), *left, Text(chart.legend, "dim")]
