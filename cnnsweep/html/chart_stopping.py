"""Early stopping on the page: a stacked bar for each epoch."""

from typing import Any

from cnnsweep.analysis.chart_stopping import StopEpoch, StoppingChart
from cnnsweep.formatting.numbers import UNKNOWN
from cnnsweep.html.chart import Chart, DataTable, View, single
from cnnsweep.html.chart_style import BEST, PLAIN, count_axis, epoch_axis, layout
from cnnsweep.html.markup import chart_text

NAMED = 5  # trials in the text beside a bar
LONGEST = 60  # characters of a trial


def stopping_view(chart: StoppingChart) -> Chart:
    """Return the number of trials that trained in each epoch, and the number stopped after it."""
    epochs = chart.epochs
    going_on = [f"epoch {one.epoch}: {one.went_on:,} continue" for one in epochs]
    figure = {
        "data": [
            _bars(chart, [one.went_on for one in epochs], "continue", {"color": PLAIN}, going_on),
            _bars(
                *(chart, [len(one.stopped) for one in epochs], "stopped after this epoch"),
                *({"color": BEST, "pattern": {"shape": "/"}}, [_hover(one) for one in epochs]),
            ),
        ],
        "layout": layout(
            epoch_axis(len(epochs)),
            count_axis("trials in training", max(one.went_on + len(one.stopped) for one in epochs)),
            barmode="stack",
            bargap=0.15 if len(epochs) < 100 else 0,
        ),
    }
    rows = [
        [f"after epoch {one.epoch}", f"{len(one.stopped):,}", f"{one.went_on:,}", one.against or UNKNOWN]
        for one in chart.stops
    ]
    table = DataTable(["when", "stopped", "continued", "because"], rows)
    return single("stopping", "Early stopping", View(chart.diagnostic, figure, table))


def _bars(chart: StoppingChart, counts: list[int], name: str, marker: Any, hovers: list[str]) -> dict[str, Any]:
    return {
        **{"type": "bar", "x": [one.epoch for one in chart.epochs], "y": counts, "name": name, "marker": marker},
        **{"hoverinfo": "text", "hovertext": hovers, "textposition": "none"},
    }


def _hover(one: StopEpoch) -> str:
    lines = [f"after epoch {one.epoch}: {len(one.stopped):,} stopped"]
    lines += [f"{chart_text(stopped.words, LONGEST)}: {stopped.text}" for stopped in one.stopped[:NAMED]]
    return "<br>".join([*lines, *([f"… and {len(one.stopped) - NAMED:,} more"] if len(one.stopped) > NAMED else [])])
