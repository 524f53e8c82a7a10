"""The metric against training time, as a paper figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnsweep.analysis.chart_cost import FAILED, STOPPED, CostChart, CostPoint
from cnnsweep.metrics.names import without_prefix
from cnnsweep.plots.style import BEST, COLOURS, OTHERS, Drawing, Format, grid, in_unit, metric_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKERS = {STOPPED: ("x", OTHERS), FAILED: ("s", "white")}


def time_figure(chart: CostChart) -> Drawing:
    """Return a mark for each trial and a step line through the efficient ones."""
    metric = chart.metric

    def places(points: tuple[CostPoint, ...]) -> tuple[list[float], list[float]]:
        return [point.cost for point in points], [in_unit(metric, point.mean) for point in points]

    def draw(figure: Figure, form: Format) -> None:
        axes = figure.add_subplot()
        for series in chart.others:
            marker, fill = _MARKERS.get(series.label, ("o", "white"))
            size = form.line * 2.4
            axes.plot(
                *places(series.points), marker, color=OTHERS, markerfacecolor=fill, label=series.label, markersize=size
            )
        if chart.efficient.points:
            xs, ys = places(chart.efficient.points)
            axes.plot(xs, ys, "-", drawstyle="steps-post", color=BEST, linewidth=form.line * 0.8)
            axes.plot(xs, ys, "D", color=BEST, label=chart.efficient.label)
            if chart.is_starred:
                axes.plot(xs[-1], ys[-1], "*", color=COLOURS[1], markersize=form.line * 6, label="best")
        if chart.is_log:
            axes.set_xscale("log")
        axes.set_xlabel(chart.axis)
        axes.set_ylabel(metric_label(metric))
        grid(axes, "both")
        figure.legend(loc="outside lower center", ncols=2, handletextpad=0.3, columnspacing=1.2)

    legend = f"{chart.legend[0].upper()}{chart.legend[1:]}"
    caption = f"{metric_label(metric).capitalize()} of each trial against {chart.cost}. {legend}."
    return Drawing(f"{without_prefix(metric)}_against_time", caption, draw, 2)
