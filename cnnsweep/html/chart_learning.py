"""Learning curves on the page: lines with bands, other trials in grey."""

from collections.abc import Sequence
from typing import Any

from cnnsweep.analysis.chart_learning import Curve, LearningChart
from cnnsweep.formatting.numbers import UNKNOWN, metric_text
from cnnsweep.html.chart import Chart, DataTable, View, chart_of_views
from cnnsweep.html.chart_style import (
    BANDS,
    DASHES,
    FAINT,
    LEGEND,
    SERIES,
    SYMBOLS,
    axis,
    epoch_axis,
    layout,
    tick_format,
)
from cnnsweep.html.markup import chart_text

LONGEST_NAME = 46
MOST_COLUMNS = 12  # epochs in the table, enough to show the trend


def learning_view(charts: Sequence[LearningChart]) -> Chart | None:
    """Return the charts as views of one, None without any."""
    views = {chart.metric: _view(chart) for chart in charts}
    notes = tuple(dict.fromkeys(note for chart in charts for note in chart.notes))
    return chart_of_views("learning", "Learning curves", "Metric", views, notes=notes)


def _view(chart: LearningChart) -> View:
    traces: list[dict[str, Any]] = [_faint_trace(chart.others)] if chart.others else []
    for number, curve in reversed(list(enumerate(chart.curves))):  # the best is drawn last, on top
        traces += _traces(number, curve)
    figure = {
        "data": traces,
        "layout": layout(
            epoch_axis(chart.last_epoch),
            axis(chart_text(chart.metric), tickformat=tick_format(chart.metric)),
            legend={**LEGEND, "traceorder": "reversed"},
        ),
    }
    grey = "; others in grey" if chart.others else ""
    return View(f"{chart.metric} {chart.description}{grey}. {chart.diagnostic}", figure, _table(chart))


def _faint_trace(curves: Sequence[Curve]) -> dict[str, Any]:
    """Return all curves as one line with gaps, which plotly draws much faster than many lines."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for curve in curves:
        xs += [*(point.epoch for point in curve.points), None]
        ys += [*(point.mean for point in curve.points), None]
    return {
        **{"type": "scatter", "mode": "lines", "x": xs, "y": ys, "name": "other trials"},
        **{"line": {"color": FAINT, "width": 1}, "hoverinfo": "skip"},
    }


def _traces(number: int, curve: Curve) -> list[dict[str, Any]]:
    name, words = chart_text(curve.label, LONGEST_NAME), chart_text(curve.words, LONGEST_NAME)
    xs = [point.epoch for point in curve.points]
    line = {
        **{"type": "scatter", "mode": "lines+markers", "x": xs, "y": [point.mean for point in curve.points]},
        "name": name,
        "line": {"color": SERIES[number], "width": 3 if number == 0 else 2, "dash": DASHES[number]},
        "marker": {"symbol": SYMBOLS[number], "size": 7},
        "legendgroup": str(number),
        "hoverinfo": "text",
        "text": [f"{words}<br>{curve.point_text(point)}" for point in curve.points],
    }
    if not curve.has_band:
        return [line]
    band = {
        **{"type": "scatter", "mode": "lines", "x": [*xs, *reversed(xs)], "fill": "toself", "name": name},
        "y": [*(point.low for point in curve.points), *(point.high for point in reversed(curve.points))],
        **{"fillcolor": BANDS[number], "line": {"width": 0}, "hoverinfo": "skip"},
        **{"legendgroup": str(number), "showlegend": False},
    }
    return [band, line]


def _table(chart: LearningChart) -> DataTable:
    epochs = sorted({point.epoch for curve in chart.curves for point in curve.points})
    if len(epochs) > MOST_COLUMNS:
        last = MOST_COLUMNS - 1
        epochs = sorted({epochs[round(part * (len(epochs) - 1) / last)] for part in range(MOST_COLUMNS)})
    rows = []
    for curve in chart.curves:
        by_epoch = {point.epoch: point.mean for point in curve.points}
        values = [metric_text(chart.metric, by_epoch[n]) if n in by_epoch else UNKNOWN for n in epochs]
        rows.append([curve.label, *values])
    return DataTable(["trial", *(f"epoch {epoch}" for epoch in epochs)], rows)
