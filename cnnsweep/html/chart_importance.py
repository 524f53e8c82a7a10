"""Importance and interaction on the page, as bars."""

from collections.abc import Sequence

from cnnsweep.analysis.chart_importance import Bar, ShareChart
from cnnsweep.html.chart import Chart, DataTable, Figure, View, single
from cnnsweep.html.chart_style import BEST, layout
from cnnsweep.html.markup import chart_text, chart_texts

PIXELS_A_BAR = 28
MARGIN = {"l": 56, "r": 16, "t": 24, "b": 8}


def share_view(chart: ShareChart) -> Chart:
    """Return the bars, the longest at the top."""
    table = DataTable([chart.heading, "share"], [[bar.label, bar.text] for bar in chart.bars])
    sentence = f"{chart.meaning[0].upper()}{chart.meaning[1:]}. {chart.diagnostic}"
    if chart.heading == "pair":
        sentence += " The heat map shows how."
    height = PIXELS_A_BAR * len(chart.bars) + 32
    view = View(sentence, _figure(chart.bars), table)
    return single(chart.title.lower(), chart.title, view, height=height, notes=chart.notes)


def _figure(shown: Sequence[Bar]) -> Figure:
    places = [-n for n in range(len(shown))]
    bars = {
        **{"type": "bar", "orientation": "h", "x": [bar.share for bar in shown], "y": places},
        **{"text": [bar.text for bar in shown], "textposition": "outside", "cliponaxis": False},
        **{"marker": {"color": BEST}, "hoverinfo": "text"},
        "hovertext": [f"{chart_text(bar.label)}: {bar.text}" for bar in shown],
    }
    y = {"tickvals": places, "ticktext": chart_texts([bar.label for bar in shown], 26), "automargin": True,
         "showgrid": False, "zeroline": False, "fixedrange": True}  # fmt: skip
    x = {"visible": False, "range": [0, max(bar.share for bar in shown) * 1.2], "fixedrange": True}
    return {"data": [bars], "layout": layout(x, y, bargap=0.35, showlegend=False, margin=MARGIN)}
