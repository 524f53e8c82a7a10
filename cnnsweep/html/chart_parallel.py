"""Parallel coordinates on the page.

They are drawn as plain lines: plotly's own chart needs WebGL, which prints badly and is absent on many machines.
"""

from typing import Any

from cnnsweep.analysis.chart_parallel import UNUSED_AT, ParallelChart
from cnnsweep.formatting.numbers import UNKNOWN, metric_text
from cnnsweep.html.chart import Chart, View, single
from cnnsweep.html.chart_style import LINE, scale_colour, scale_of, tick_format
from cnnsweep.html.markup import chart_text, chart_texts

COLOURS = 12
PIXELS_PER_AXIS = 96
PIXELS_OF_COLOUR_BAR = 90


def parallel_view(chart: ParallelChart) -> Chart:
    """Return the lines, the metric at the right."""
    sentence = (
        f"Each line is a trial, from its hyperparameters to its {chart.metric}; the stronger the colour, the "
        f"better. {chart.diagnostic} The table of all runs has every value."
    )
    figure = {"data": [*_lines(chart), _colour_bar(chart)], "layout": _layout(chart)}
    narrowest = PIXELS_PER_AXIS * len(chart.axes) + PIXELS_OF_COLOUR_BAR
    view = View(sentence, figure)
    return single("parallel", "Trials side by side", view, narrowest=narrowest, notes=chart.notes)


def _lines(chart: ParallelChart) -> list[dict[str, Any]]:
    """Return one trace per colour, lines separated by gaps, the best on top. The very best has its own trace."""
    members: dict[int, list[int]] = {}
    for number, share in enumerate(chart.goodness):
        members.setdefault(COLOURS if number == 0 else round(share * (COLOURS - 1)), []).append(number)
    traces = []
    for colour, numbers in sorted(members.items()):
        xs: list[float | None] = []
        ys: list[float | None] = []
        texts: list[str] = []
        for number in numbers:
            mean = f"{chart_text(chart.metric)} {metric_text(chart.metric, chart.means[number])}"
            xs += [*range(len(chart.axes)), None]
            ys += [*(axis.places[number] for axis in chart.axes), None]
            texts += [*[""] * (len(chart.axes) - 1), f"{chart_text(chart.words[number], 160)}<br>{mean}", ""]
        is_best = colour == COLOURS
        traces.append({
            **{"type": "scatter", "mode": "lines+markers" if is_best else "lines", "x": xs, "y": ys},
            **{"hoverinfo": "text", "text": texts, "showlegend": False, "cliponaxis": False},
            "line": {"color": scale_colour(colour / (COLOURS - 1)), "width": 4 if is_best else 1.3},
            "marker": {"size": 8},
        })  # fmt: skip
    return traces


def _colour_bar(chart: ParallelChart) -> dict[str, Any]:
    bar = {
        "title": {"text": chart_text(chart.metric), "side": "right"},
        "thickness": 12,
        "outlinewidth": 0,
        "tickformat": tick_format(chart.metric),
    }
    ends = {"color": [chart.low, chart.high], "cmin": chart.low, "cmax": chart.high}
    marker = {**ends, "colorscale": scale_of(chart.mode), "showscale": True}
    return {
        **{"type": "scatter", "mode": "markers", "x": [None, None], "y": [None, None], "showlegend": False},
        **{"hoverinfo": "skip", "marker": {**marker, "colorbar": bar}},
    }


def _layout(chart: ParallelChart) -> dict[str, Any]:
    count = len(chart.axes)
    lines = [
        {"type": "line", "x0": n, "x1": n, "y0": 0, "y1": 1, "line": {"color": LINE, "width": 1}, "layer": "below"}
        for n in range(count)
    ]
    labels = [
        {
            **{"x": n, "y": y, "text": label, "showarrow": False, "xanchor": "left", "xshift": 4},
            **{"bgcolor": "colour:label", "borderpad": 1, "font": {"size": 11}},
        }
        for n, axis in enumerate(chart.axes)
        for (y, _), label in zip(axis.ticks, chart_texts([text for _, text in axis.ticks], 16), strict=True)
    ]
    if chart.has_unused:
        labels.append({"x": 0, "y": UNUSED_AT, "text": f"{UNKNOWN} not used", "showarrow": False, "xanchor": "right"})
    names = chart_texts([axis.name for axis in chart.axes], 14)
    hidden = {"showgrid": False, "showline": False, "zeroline": False, "fixedrange": True}
    return {
        "xaxis": {**hidden, "side": "top", "tickvals": list(range(count)), "ticktext": names, "tickangle": 0,
                  "range": [-0.25, count - 0.5]},
        "yaxis": {**hidden, "visible": False, "range": [-0.18 if chart.has_unused else -0.04, 1.04]},
        "shapes": lines, "annotations": labels, "margin": {"l": 24, "r": 16, "t": 36, "b": 16},
        "hovermode": "closest",
    }  # fmt: skip
