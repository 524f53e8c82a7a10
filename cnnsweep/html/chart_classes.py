"""Accuracy by class and confusion matrix on the page."""

from collections.abc import Sequence
from typing import Any

from cnnsweep.analysis.chart_classes import ClassChart, ClassShare, ConfusionChart
from cnnsweep.formatting.numbers import count_text
from cnnsweep.html.chart import Chart, DataTable, View, chart_of_views, single
from cnnsweep.html.chart_style import PLAIN, SERIES, SYMBOLS, axis, layout
from cnnsweep.html.markup import chart_text, chart_texts

MOST_IN_MATRIX = 100


def class_view(chart: ClassChart) -> Chart:
    """Return a point for each class and run, for a single run with its interval."""
    places = [-n for n in range(len(chart.rows))]
    traces = [_class_trace(chart, number, places) for number in range(len(chart.runs))]
    names = chart_texts([row.name for row in chart.rows], 20)
    y = {"tickvals": places, "ticktext": names, "automargin": True,
         "range": [0.6 - len(places), 0.6], "fixedrange": True, "zeroline": False}  # fmt: skip
    figure = {
        "data": traces,
        "layout": layout(axis(f"accuracy on {chart.images}", tickformat=".6~%"), y, showlegend=len(chart.runs) > 1),
    }
    bars = ", with 95 % intervals" if len(chart.runs) == 1 else ""
    sentence = f"Accuracy by class on {chart.images}, the hardest first{bars}. {chart.diagnostic}"
    rows = [[row.name, *row.texts] for row in chart.rows]
    view = View(sentence, figure, DataTable(["class", *chart.runs], rows))
    height = max(20 * len(places) + 130, 260)
    return single("classes", "Accuracy by class", view, height=height, notes=chart.notes)


def _class_trace(chart: ClassChart, number: int, places: Sequence[int]) -> dict[str, Any]:
    name, shares = chart.runs[number], [row.shares[number] for row in chart.rows]
    texts = [
        f"{chart_text(row.name)}: {_with_interval(share)}<br>{chart_text(name, 80)}"
        for row, share in zip(chart.rows, shares, strict=True)
    ]
    trace = {
        **{"type": "scatter", "mode": "markers", "y": places, "name": chart_text(name, 44)},
        **{"x": [None if share is None else share.share for share in shares], "hoverinfo": "text", "text": texts},
        "marker": {"color": SERIES[number], "symbol": SYMBOLS[number], "size": 10},
    }
    if len(chart.runs) > 1:  # intervals of several runs would overlap
        return trace
    ends = [(share.share - share.ends[0], share.ends[1] - share.share) if share else (0.0, 0.0) for share in shares]
    below, above = zip(*ends, strict=True)
    bars = {"type": "data", "array": above, "arrayminus": below, "thickness": 1.5, "width": 4, "color": PLAIN}
    return {**trace, "error_x": bars}


def _with_interval(share: ClassShare | None) -> str:
    return "no images" if share is None else f"{share.text} ({share.interval_text})"


def confusion_view(charts: Sequence[ConfusionChart]) -> Chart | None:
    """Return the matrices as views of one chart; None if none can be drawn."""
    views = {chart.run: _matrix(chart) for chart in charts if len(chart.classes) <= MOST_IN_MATRIX}
    return chart_of_views("confusion", "Confusion matrix", "Run", views, height=560)


def _matrix(chart: ConfusionChart) -> View:
    names = [chart_text(name) for name in chart.classes]
    hovers = [
        [
            f"{true} taken for {predicted}<br>{count:,} of {count_text(sum(row), 'image')}"
            for predicted, count in zip(names, row, strict=True)
        ]
        for true, row in zip(names, chart.counts, strict=True)
    ]
    heat = {
        **{"type": "heatmap", "z": chart.shares, "zmin": 0, "zmax": 1, "text": chart.counts},
        **{"hovertext": hovers, "hoverinfo": "text"},
        **{"colorscale": [[0, "colour:ground"], [0.03, "scale:0.25"], [0.5, "scale:0.6"], [1, "scale:1"]]},
        "colorbar": {"thickness": 12, "outlinewidth": 0, "tickformat": ".0%"},
        **({"texttemplate": "%{text}"} if chart.is_written else {}),
    }
    ticks = {"tickvals": list(range(len(names))), "ticktext": chart_texts(chart.classes, 14), "showgrid": False,
             "zeroline": False, "fixedrange": True}  # fmt: skip
    x, y = (
        axis("predicted class", tickangle=-45, **ticks),
        axis(f"true class of {chart.images}", autorange="reversed", **ticks),
    )
    rows = [[true, predicted, f"{count:,}"] for true, predicted, count in chart.pairs]
    sentence = f"Confusion matrix of {chart.run}. {chart.diagnostic}"
    table = DataTable(["true class", "predicted class", "images"], rows)
    return View(sentence, {"data": [heat], "layout": layout(x, y)}, table)
