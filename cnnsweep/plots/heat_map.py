"""The heat map of the two most important hyperparameters, as a paper figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnsweep.analysis.chart_heat_map import HeatMaps
from cnnsweep.metrics.names import is_share
from cnnsweep.plots.style import SCALE, Drawing, Format, in_unit, metric_label, readable_on

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LEVELS = 12  # values of either hyperparameter; more names would be unreadable
MOST_WRITTEN = 7  # up to this number of columns, values are written as well
_LETTERS_WITHIN = 22  # of all labels side by side


def heat_map(chart: HeatMaps) -> Drawing:
    """Return the heat map that the page shows first."""
    one = chart.maps[chart.chosen]
    means = {cell: in_unit(one.metric, mean) for cell, mean in one.means.items()}
    low, high = min(means.values()), max(means.values())
    scale = SCALE if one.mode == "max" else f"{SCALE}_r"

    def draw(figure: Figure, form: Format) -> None:
        axes = figure.add_subplot()
        nan = float("nan")
        table = [[nan if mean is None else in_unit(one.metric, mean) for mean in row] for row in one.table]
        image = axes.imshow(table, cmap=scale, aspect="auto", origin="lower")
        axes.set_xticks(range(len(one.across.texts)), form.cut_all(one.across.texts, 0.5))
        axes.set_yticks(range(len(one.up.texts)), form.cut_all(one.up.texts, 0.5))
        axes.set_xlabel(form.cut(one.across.name))
        axes.set_ylabel(form.cut(one.up.name, 0.7))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if sum(map(len, one.across.texts)) > _LETTERS_WITHIN:
            for label in axes.get_xticklabels():
                label.set(rotation=35, ha="right", rotation_mode="anchor")
        if len(one.across.texts) <= MOST_WRITTEN:
            for (x, y), mean in means.items():
                colour = readable_on(scale, (mean - low) / (high - low) if high > low else 0.0)
                text = f"{mean:.1f}" if is_share(one.metric) else f"{mean:.3g}"
                axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=form.type * 0.85)
        bar = figure.colorbar(image, ax=axes, label=metric_label(one.metric))
        bar.outline.set_visible(False)

    caption = f"Mean {metric_label(one.metric)} {one.description}; white: not trained."
    return Drawing("heat_map", caption, draw, rows=max(len(one.up.texts) - 6, 0))
