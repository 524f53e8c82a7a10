"""Effects as a paper figure: the difference of each value to the best one, with its 95 % interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnsweep.analysis.chart_effects import EffectRow, EffectsChart
from cnnsweep.plots.style import BEST, INK, OTHERS, Drawing, Format, grid, in_unit, metric_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_HYPERPARAMETERS = 6  # limit for one column of a paper
_ROWS_WITHIN = 9  # rows within the format's own height


def effects_figure(chart: EffectsChart) -> Drawing:
    """Return all groups below each other, each with its name as a heading."""
    kind, unit = metric_label(chart.metric).removesuffix(")").split(" (")
    unit = "percentage points" if unit == "%" else unit
    # A value without a mean has no difference to draw.
    groups = [(group, [row for row in group.rows if row.difference is not None]) for group in chart.groups]
    count = sum(1 + len(rows) + bool(group.rest) for group, rows in groups)

    def draw(figure: Figure, form: Format) -> None:
        axes = figure.add_subplot()
        axes.axvline(0, color=OTHERS, linewidth=form.line * 0.6)
        labels: list[str] = []
        headings = []
        for group, rows in groups:
            headings.append(len(labels))
            labels.append(form.cut(group.name, 0.5))
            for row in rows:
                _draw_row(axes, chart.metric, row, len(labels), form)
                labels.append(form.cut(row.value, 0.5))
            if group.rest:
                labels.append(group.rest)
        axes.set_yticks(range(len(labels)), labels)
        for heading in headings:
            axes.get_yticklabels()[heading].set_fontweight("bold")
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        # Below the whole figure: the axes are narrower than these words where values are long.
        figure.supxlabel(f"{kind}: difference\nto the best value ({unit})", fontsize=form.type)
        grid(axes, "x")

    legend = chart.legend("hollow" if chart.has_unpaired else None)
    caption = " ".join([f"{kind.capitalize()} of the {chart.counted} with each value: {legend}.", *chart.notes])
    return Drawing("effects", caption, draw, rows=max(count - _ROWS_WITHIN, 0))


def _draw_row(axes: Axes, metric: str, row: EffectRow, place: int, form: Format) -> None:
    if row.difference is None:
        return
    colour = BEST if row.is_best else INK
    if row.low is not None and row.high is not None:
        ends = (in_unit(metric, row.low), in_unit(metric, row.high))
        axes.plot(ends, (place, place), color=colour, linewidth=form.line, solid_capstyle="butt")
    fill = colour if row.is_paired else "white"
    marker = "D" if row.is_best else "o"
    axes.plot(in_unit(metric, row.difference), place, marker=marker, color=colour, markerfacecolor=fill)
