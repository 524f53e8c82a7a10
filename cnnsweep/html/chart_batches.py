"""The loss of every batch on the page, for the best run of each of the best trials."""

from collections.abc import Sequence

from cnnsweep.analysis.chart_batches import BatchChart
from cnnsweep.formatting.numbers import metric_text
from cnnsweep.html.chart import Chart, DataTable, View, chart_of_views
from cnnsweep.html.chart_style import BEST, axis, count_axis, layout

ROWS = 12


def batch_view(charts: Sequence[BatchChart]) -> Chart | None:
    """Return the charts as views of one, None without any."""
    return chart_of_views("batches", "Loss of every batch", "Trial", {chart.label: _view(chart) for chart in charts})


def _view(chart: BatchChart) -> View:
    xs, ys = zip(*chart.points, strict=True)
    curve = {
        **{"type": "scatter", "mode": "lines", "x": xs, "y": ys, "line": {"color": BEST, "width": 1.5}},
        **{"hovertemplate": "batch %{x:,.0f}: loss %{y:.4g}<extra></extra>"},
    }
    loss_axis = axis("loss", type="log" if chart.is_log else "linear")
    figure = {"data": [curve], "layout": layout(count_axis("batch", chart.batches), loss_axis, showlegend=False)}
    picked = sorted({round(part * (len(xs) - 1) / (ROWS - 1)) for part in range(ROWS)})
    rows = [[f"{xs[n]:,.0f}", metric_text("loss", ys[n])] for n in picked]
    return View(chart.diagnostic, figure, DataTable(["batch", "loss"], rows))
