"""Heat maps on the page: two drop-down lists choose the hyperparameters."""

from cnnsweep.analysis.chart_heat_map import Axis, HeatMap, HeatMaps
from cnnsweep.formatting.numbers import UNKNOWN, metric_text
from cnnsweep.html.chart import Chart, Choice, DataTable, View
from cnnsweep.html.chart_style import axis, layout, scale_of
from cnnsweep.html.markup import chart_text, chart_texts

MOST_WRITTEN = 100  # cells; a larger map has no room for values


def heat_map_view(chart: HeatMaps) -> Chart:
    """Return a view of each pair."""
    views = {f"{across},{up}": _view(one) for (across, up), one in chart.maps.items()}
    choices = [Choice("Across", chart.names), Choice("Up", chart.names)]
    chosen = "{},{}".format(*chart.chosen)
    return Chart("heat-map", "Any two hyperparameters", views, choices, chosen, notes=chart.notes)


def _view(one: HeatMap) -> View:
    texts = [["" if mean is None else metric_text(one.metric, mean) for mean in row] for row in one.table]
    hovers = [
        [
            f"{chart_text(one.across.name)} = {chart_text(column)}<br>{chart_text(one.up.name)} = {chart_text(row)}<br>"
            + one.cell_text((x, y))
            for x, column in enumerate(one.across.texts)
        ]
        for y, row in enumerate(one.up.texts)
    ]
    heat = {
        **{"type": "heatmap", "z": one.table, "colorscale": scale_of(one.mode)},
        **{"text": texts, "hovertext": hovers, "hoverinfo": "text", "xgap": 2, "ygap": 2},
        "colorbar": {"thickness": 12, "outlinewidth": 0, "title": {"text": chart_text(one.metric), "side": "right"}},
        **({"texttemplate": "%{text}"} if len(hovers) * len(hovers[0]) <= MOST_WRITTEN else {}),
    }
    figure = {"data": [heat], "layout": layout(_category(one.across), _category(one.up))}
    table = DataTable([f"{one.up.name} \\ {one.across.name}", *one.across.texts], [
        [row, *(text or UNKNOWN for text in line)] for row, line in zip(one.up.texts, texts, strict=True)
    ])  # fmt: skip
    return View(f"Mean {one.metric} {one.description}. {one.diagnostic}", figure, table)


def _category(shown: Axis) -> dict[str, object]:
    texts = chart_texts(shown.texts, 18)
    more = {"tickvals": list(range(len(texts))), "ticktext": texts, "showgrid": False, "zeroline": False}
    return axis(chart_text(shown.name, 30), fixedrange=True, **more)
