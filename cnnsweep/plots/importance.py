"""Importance as a paper figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnsweep.analysis.chart_importance import ShareChart
from cnnsweep.plots.style import BEST, Drawing, Format, grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROWS_WITHIN = 6


def importance_figure(chart: ShareChart) -> Drawing:
    """Return the bars, the longest at the top."""

    def draw(figure: Figure, form: Format) -> None:
        axes = figure.add_subplot()
        places = range(len(chart.bars))
        bars = axes.barh(places, [bar.share * 100 for bar in chart.bars], height=0.62, color=BEST)
        axes.bar_label(bars, [f" {bar.text}" for bar in chart.bars], fontsize=form.type * 0.9)
        axes.set_yticks(places, [form.cut(bar.label, 0.5) for bar in chart.bars])
        axes.invert_yaxis()
        axes.set_xlim(0, max(bar.share for bar in chart.bars) * 115)  # room for the label of the longest
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("importance (%)")
        grid(axes, "x")

    caption = " ".join([f"Importance of each hyperparameter: {chart.meaning}.", *chart.notes])
    return Drawing("importance", caption, draw, rows=max(len(chart.bars) - _ROWS_WITHIN, 0))
