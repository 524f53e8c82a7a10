"""Effects on the page: a row for each value, a point for its mean, a bar for the interval of its difference."""

from collections.abc import Sequence
from typing import Any

from cnnsweep.analysis.chart_effects import EffectGroup, EffectRow, EffectsChart
from cnnsweep.formatting.numbers import UNKNOWN, metric_text
from cnnsweep.html.chart import Chart, DataTable, View, single
from cnnsweep.html.chart_style import BEST, PLAIN, axis, layout, tick_format
from cnnsweep.html.markup import chart_text, chart_texts

LONGEST_LABEL = 26
PIXELS_A_ROW = 24


def effects_view(chart: EffectsChart) -> Chart:
    """Return all groups below each other, separated by lines."""
    traces, separators, row = [], [], 0
    labels: list[tuple[int, str]] = []
    rows: list[list[str]] = []
    for group in chart.groups:
        places = [-(row + n) for n in range(len(group.rows))]
        traces.append(_trace(chart.metric, group, places))
        names = chart_texts([f"{group.name} {value.value}" for value in group.rows], LONGEST_LABEL)
        labels += zip(places, names, strict=True)
        rows += [_cells(chart.metric, group.name, value) for value in group.rows]
        row += len(group.rows) + 1
        if group.rest:
            labels.append((-(row - 1), group.rest))
            rows.append([f"{group.name} {group.rest}", "", "", ""])
            row += 1
        separators.append(-(row - 1))
    y = {"tickvals": [place for place, _ in labels], "ticktext": [label for _, label in labels], "zeroline": False,
         "showgrid": False, "automargin": True, "range": [-row + 1.4, 0.7], "fixedrange": True}  # fmt: skip
    figure = {
        "data": traces,
        "layout": layout(
            axis(f"mean {chart_text(chart.metric)}", tickformat=tick_format(chart.metric), nticks=6),
            y,
            showlegend=False,
            shapes=[_separator(place) for place in separators[:-1]],
        ),
    }
    table = DataTable(["value", "mean", "difference to the best", "runs"], rows)
    legend = chart.legend("hollow" if chart.has_unpaired else None)
    sentence = f"Mean {chart.metric} of the {chart.counted} with each value. {chart.diagnostic} Bars: {legend}."
    view = View(sentence, figure, table)
    height = PIXELS_A_ROW * row + 90
    return single("effects", "Effect of each hyperparameter", view, height=height, notes=chart.notes)


def _trace(metric: str, group: EffectGroup, places: Sequence[int]) -> dict[str, Any]:
    rows = group.rows
    ends = [(row.low, row.difference, row.high) for row in rows]
    bars = [(0.0, 0.0) if None in end else (end[2] - end[1], end[1] - end[0]) for end in ends]  # type: ignore[operator]
    above, below = zip(*bars, strict=True)
    colours = [BEST if row.is_best else PLAIN for row in rows]
    shapes = ["star" if row.is_best else "circle" for row in rows]
    return {
        **{"type": "scatter", "mode": "markers", "x": [row.mean for row in rows], "y": places},
        "marker": {
            "size": [13 if row.is_best else 9 for row in rows],
            "color": colours,
            "opacity": 1,
            "symbol": [shape + ("" if row.is_paired else "-open") for shape, row in zip(shapes, rows, strict=True)],
        },
        "error_x": {"type": "data", "array": above, "arrayminus": below, "thickness": 1.5, "width": 4, "color": PLAIN},
        "hoverinfo": "text",
        "text": [_hover(metric, group.name, row) for row in rows],
    }


def _hover(metric: str, name: str, row: EffectRow) -> str:
    difference = [f"to the best {chart_text(row.difference_text)}"] if row.difference_text else []
    mean = f"mean {chart_text(metric)} {metric_text(metric, row.mean)}"
    return "<br>".join([chart_text(f"{name} = {row.value}"), mean, *difference, row.runs])


def _cells(metric: str, name: str, row: EffectRow) -> list[str]:
    difference = "best" if row.is_best else row.difference_text or UNKNOWN
    return [f"{name} = {row.value}", metric_text(metric, row.mean), difference, row.runs]


def _separator(place: float) -> dict[str, Any]:
    line = {"color": "colour:line", "width": 1}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": place, "y1": place, "line": line}
