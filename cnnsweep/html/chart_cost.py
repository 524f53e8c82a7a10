"""The metric against cost on the page: points, with a step line through the efficient trials."""

from collections.abc import Sequence
from typing import Any

from cnnsweep.analysis.chart_cost import EFFICIENT, CostChart, CostSeries
from cnnsweep.formatting.numbers import metric_text
from cnnsweep.html.chart import Chart, DataTable, View, chart_of_views
from cnnsweep.html.chart_style import BEST, LINE, axis, layout, tick_format
from cnnsweep.html.markup import chart_text

SYMBOLS = {"stopped early": "x", "a run failed": "circle-open"}


def cost_view(charts: Sequence[CostChart]) -> Chart | None:
    """Return the charts as views of one, None without any."""
    if not charts:
        return None
    against = charts[0].cost if len(charts) == 1 else "cost"
    views = {chart.cost: _view(chart) for chart in charts}
    return chart_of_views("cost", f"{charts[0].metric} against {against}", "Cost", views)


def _view(chart: CostChart) -> View:
    kind = "log" if chart.is_log else "linear"
    series = [*chart.others, *([chart.efficient] if chart.efficient.points else [])]
    up = axis(chart_text(chart.metric), tickformat=tick_format(chart.metric))
    figure = {
        "data": [_trace(chart.metric, one) for one in series],
        "layout": layout(axis(chart.axis, type=kind), up),
    }
    rows = [[point.words, point.cost_text, metric_text(chart.metric, point.mean)] for point in chart.efficient.points]
    table = DataTable(["efficient trial", chart.cost, chart.metric], rows)
    return View(f"{chart.diagnostic} {chart.legend[0].upper()}{chart.legend[1:]}.", figure, table)


def _trace(metric: str, series: CostSeries) -> dict[str, Any]:
    texts = [
        f"{chart_text(point.words, 160)}<br>{chart_text(metric)} {metric_text(metric, point.mean)}, {point.cost_text}"
        for point in series.points
    ]
    look: dict[str, Any] = {
        "mode": "markers",
        "marker": {"color": LINE, "size": 7, "symbol": SYMBOLS.get(series.label, "circle")},
    }
    if series.label == EFFICIENT:
        line = {"color": BEST, "width": 2, "shape": "hv"}
        look = {"mode": "lines+markers", "line": line, "marker": {"color": BEST, "size": 10}}
    return {
        **{"type": "scatter", "x": [point.cost for point in series.points], "name": series.label},
        **{"y": [point.mean for point in series.points], "hoverinfo": "text", "text": texts},
        **look,
    }
