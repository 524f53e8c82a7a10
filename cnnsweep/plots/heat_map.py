"""The mean figure of each combination of the two hyperparameters that matter most."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from cnnsweep.analysis.axes import Levels, in_file_order, levels_of, setting_axes
from cnnsweep.analysis.configurations import Setting
from cnnsweep.analysis.effects import effects
from cnnsweep.analysis.importance import estimates_by_cell, importance
from cnnsweep.analysis.results import Results
from cnnsweep.formatting.numbers import is_unused
from cnnsweep.plots.style import SCALE, Drawing, Format, in_unit, metric_label, readable_on

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_WRITTEN = 7  # columns in which the figures are written as well
_LETTERS_WITHIN = 22  # of all labels side by side
MOST_LEVELS = 12  # of either; more are a search's numbers, which are in bins, or too many names to read


def heat_map(results: Results, settings: Sequence[Setting]) -> Drawing | None:
    """Return the heat map, or None where no two hyperparameters vary."""
    chosen = _chosen(results, settings)
    if chosen is None:
        return None
    # Along the width goes the one with fewer values: its labels have room.
    columns, rows = sorted(chosen, key=lambda axis: len(axis.values))
    metric, mode = results.sweep.objective.metric, results.sweep.objective.mode
    found = estimates_by_cell(rows, columns, settings)
    means = {cell: in_unit(metric, fmean(one.mean for one in part)) for cell, part in found.items()}
    low, high = min(means.values()), max(means.values())
    scale = SCALE if mode == "max" else f"{SCALE}_r"

    def draw(figure: Figure, form: Format) -> None:
        axes = figure.add_subplot()
        table = [[means.get((y, x), float("nan")) for x in range(len(columns.values))] for y in range(len(rows.values))]
        image = axes.imshow(table, cmap=scale, aspect="auto")
        axes.set_xticks(range(len(columns.values)), form.cut_all(columns.texts, 0.5))
        axes.set_yticks(range(len(rows.values)), form.cut_all(rows.texts, 0.5))
        axes.set_xlabel(form.cut(columns.name))
        axes.set_ylabel(form.cut(rows.name, 0.7))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if sum(map(len, columns.texts)) > _LETTERS_WITHIN:
            for label in axes.get_xticklabels():
                label.set(rotation=35, ha="right", rotation_mode="anchor")
        if len(columns.values) <= MOST_WRITTEN:
            for (y, x), mean in means.items():
                colour = readable_on(scale, (mean - low) / (high - low) if high > low else 0.0)
                text = f"{mean:.1f}" if metric.endswith("accuracy") else f"{mean:.3g}"
                axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=form.type * 0.85)
        bar = figure.colorbar(image, ax=axes, label=metric_label(metric))
        bar.outline.set_visible(False)

    caption = (
        f"Mean {metric_label(metric)} of the settings with each combination of {columns.name} and {rows.name}; "
        "combinations without a figure are left white."
    )
    return Drawing("heat_map", caption, draw, rows=max(len(rows.values) - 6, 0))


def _chosen(results: Results, settings: Sequence[Setting]) -> tuple[Levels, Levels] | None:
    """Return the two hyperparameters that matter most: by importance, else by how far their means are apart."""
    known = in_file_order(results, [setting.runs[0] for setting in settings if setting.estimate is not None])
    if not known:
        return None
    order = [*(importance(results, settings) or {}), *(effect.name for effect in effects(results))]
    varying = []
    for name in dict.fromkeys([*order, *setting_axes(results)]):
        levels = levels_of(name, [run for run in known if not is_unused(name, run.settings[name])], always=True)
        if 1 < len(levels.values) <= MOST_LEVELS:
            varying.append(levels)
    return (varying[0], varying[1]) if len(varying) > 1 else None
