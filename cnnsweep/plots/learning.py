"""Learning curves as a paper figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnsweep.analysis.chart_learning import LearningChart
from cnnsweep.plots.style import (
    COLOURS,
    DASHES,
    MARKERS,
    Drawing,
    Format,
    grid,
    in_unit,
    metric_label,
    use_whole_ticks,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKS = 10  # on a line, at most


def learning_curves(chart: LearningChart) -> Drawing:
    """Return the curves of the best trials, with bands."""
    metric = chart.metric

    def draw(figure: Figure, form: Format) -> None:
        axes = figure.add_subplot()
        # The best is drawn last, on top.
        for number, curve in reversed(list(enumerate(chart.curves))):
            xs = [point.epoch for point in curve.points]
            if curve.has_band:
                low = [in_unit(metric, point.low) for point in curve.points]
                high = [in_unit(metric, point.high) for point in curve.points]
                axes.fill_between(xs, low, high, color=COLOURS[number], alpha=0.18, linewidth=0)
            axes.plot(
                xs,
                [in_unit(metric, point.mean) for point in curve.points],
                color=COLOURS[number],
                linestyle=DASHES[number],
                marker=MARKERS[number],
                markevery=max(-(-len(xs) // _MARKS), 1),
                label=form.cut(curve.label),
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel(metric_label(metric))
        use_whole_ticks(axes)
        grid(axes, "y")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside lower left", handlelength=3.2, labelspacing=0.3)

    caption = f"{metric_label(metric).capitalize()} {chart.description}."
    return Drawing("learning_curves", caption, draw, rows=len(chart.curves))
