"""Scores by class and confusion matrix on the page."""

from collections.abc import Sequence
from typing import Any

from cnnsweep.analysis.chart_classes import SCORES, ClassChart, ConfusionChart, ends_text, percent_text
from cnnsweep.analysis.class_counts import Interval
from cnnsweep.formatting.numbers import count_text
from cnnsweep.html.chart import Chart, Choice, DataTable, View, chart_of_views
from cnnsweep.html.chart_style import SERIES, SYMBOLS, axis, layout
from cnnsweep.html.markup import chart_text, chart_texts

MOST_IN_MATRIX = 100
_NAMES = {"recall": "recall", "precision": "precision", "f1": "F1"}
_MEANING = {
    "recall": "the share of the images of a {noun} that are recognised",
    "precision": "the share of the images {taken} that have it",
    "f1": "the harmonic mean of recall and precision",
}
_SPREAD = 0.6  # of the height of a row, between the points of several runs


def class_view(chart: ClassChart) -> Chart:
    """Return a point with its interval for each class and run, for each score."""
    views = {_NAMES[score]: _score_view(chart, score) for score in SCORES}
    height = max((20 + 14 * (len(chart.runs) - 1)) * len(chart.rows) + 130, 260)
    found = chart_of_views("classes", f"Scores by {chart.noun}", "Score", views, height=height, notes=chart.notes)
    assert found is not None
    return found


def _score_view(chart: ClassChart, score: str) -> View:
    places = [-n for n in range(len(chart.rows))]
    traces = [_class_trace(chart, score, number, places) for number in range(len(chart.runs))]
    names = chart_texts([row.label for row in chart.rows], 28)
    y = {"tickvals": places, "ticktext": names, "automargin": True,
         "range": [0.35 - len(places), 0.65], "fixedrange": True, "zeroline": False}  # fmt: skip
    x = axis(f"{_NAMES[score]} on {chart.images}", tickformat=".6~%")
    figure = {"data": traces, "layout": layout(x, y, showlegend=len(chart.runs) > 1)}
    taken = "given a label" if chart.noun == "label" else "taken for a class"
    meaning = f"{_NAMES[score].capitalize()}, {_MEANING[score].format(noun=chart.noun, taken=taken)}, on {chart.images}"
    sentence = (
        f"{meaning}; 95 % intervals, the hardest {chart.noun} first, with its number of images. {chart.diagnostic}"
    )
    return View(sentence, figure, _class_table(chart, score))


def _class_table(chart: ClassChart, score: str) -> DataTable:
    rows = [
        [
            row.name,
            f"{row.images:,}",
            *(_with_interval(*one) for one in zip(row.values(score), row.ends(score), strict=True)),
        ]
        for row in chart.rows
    ]
    return DataTable([chart.noun, "images", *chart.runs], rows)


def _class_trace(chart: ClassChart, score: str, number: int, places: Sequence[int]) -> dict[str, Any]:
    name = chart.runs[number]
    values = [row.values(score)[number] for row in chart.rows]
    ends = [row.ends(score)[number] for row in chart.rows]
    texts = [
        f"{chart_text(row.label)}: {_with_interval(value, interval)}<br>{chart_text(name, 80)}"
        for row, value, interval in zip(chart.rows, values, ends, strict=True)
    ]
    shift = _SPREAD * (number / (len(chart.runs) - 1) - 0.5) if len(chart.runs) > 1 else 0.0
    sides = [
        (0.0, 0.0) if value is None or interval is None else (value - interval[0], interval[1] - value)
        for value, interval in zip(values, ends, strict=True)
    ]
    below, above = zip(*sides, strict=True)
    bars = {"type": "data", "array": above, "arrayminus": below, "thickness": 1.5, "width": 4, "color": SERIES[number]}
    return {
        **{"type": "scatter", "mode": "markers", "y": [place - shift for place in places]},
        **{"name": chart_text(name, 44), "x": values, "hoverinfo": "text", "text": texts, "error_x": bars},
        "marker": {"color": SERIES[number], "symbol": SYMBOLS[number], "size": 10},
    }


def _with_interval(value: float | None, ends: Interval | None) -> str:
    if value is None:
        return "unknown"
    return percent_text(value) if ends is None else f"{percent_text(value)} (95 % {ends_text(ends)})"


def confusion_view(charts: Sequence[ConfusionChart]) -> Chart | None:
    """Return the matrices as views of one chart, as shares of true and of predicted classes; None if there are none."""
    shown = [chart for chart in charts if len(chart.classes) <= MOST_IN_MATRIX]
    if not shown:
        return None
    of = Choice("Share of", ["true class", "predicted class"])
    runs = [Choice("Run", [chart.run for chart in shown])] if len(shown) > 1 else []
    views = {}
    for number, chart in enumerate(shown):
        for position in range(2):
            key = f"{number},{position}" if runs else str(position)
            views[key] = _matrix(chart, is_of_predicted=position == 1)
    height = 560 if len(shown[0].classes) > 6 else 460
    return Chart("confusion", "Confusion matrix", views, [*runs, of], "0,0" if runs else "0", height=height)


def _matrix(chart: ConfusionChart, *, is_of_predicted: bool) -> View:
    names = [chart_text(name) for name in chart.classes]
    shares = chart.predicted_shares if is_of_predicted else chart.shares
    columns = [sum(column) for column in zip(*chart.counts, strict=True)]
    hovers = [
        [
            f"{true} taken for {predicted}<br>{count:,} of {count_text(sum(row), 'image')} of {true}"
            f"<br>{count:,} of {count_text(total, 'image')} taken for {predicted}"
            for predicted, count, total in zip(names, row, columns, strict=True)
        ]
        for true, row in zip(names, chart.counts, strict=True)
    ]
    cells = [
        [f"{count:,}<br>{share:.0%}" if count else "" for count, share in zip(*rows, strict=True)]
        for rows in zip(chart.counts, shares, strict=True)
    ]
    heat = {
        **{"type": "heatmap", "z": shares, "zmin": 0, "zmax": 1, "text": cells},
        **{"hovertext": hovers, "hoverinfo": "text"},
        **{"colorscale": [[0, "colour:ground"], [0.03, "scale:0.25"], [0.5, "scale:0.6"], [1, "scale:1"]]},
        "colorbar": {"thickness": 12, "outlinewidth": 0, "tickformat": ".0%"},
        **({"texttemplate": "%{text}"} if chart.is_written else {}),
    }
    ticks = {"tickvals": list(range(len(names))), "showgrid": False, "zeroline": False, "fixedrange": True}
    x = axis("predicted class", autotickangles=[0, -45, -90], ticktext=chart_texts(chart.predicted_labels, 22), **ticks)
    y_title = f"true class of {chart.images}"
    x["title"]["standoff"] = 12  # below slanted names
    y = axis(y_title, autorange="reversed", ticktext=chart_texts(chart.true_labels, 22), **ticks)
    rows = [[true, predicted, f"{count:,}"] for true, predicted, count in chart.pairs]
    of = "images taken for the class (columns)" if is_of_predicted else "images of the true class (rows)"
    sentence = f"Confusion matrix of {chart.run}, coloured by the share of the {of}. {chart.diagnostic}"
    table = DataTable(["true class", "predicted class", "images"], rows)
    return View(sentence, {"data": [heat], "layout": layout(x, y)}, table)
