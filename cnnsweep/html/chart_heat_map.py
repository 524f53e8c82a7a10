"""The mean of the metric for each combination of two hyperparameters, any two."""

import itertools
from collections.abc import Sequence
from statistics import fmean

from cnnsweep.analysis.axes import Levels, in_file_order, levels_of, setting_axes
from cnnsweep.analysis.configurations import Setting
from cnnsweep.analysis.effects import effects
from cnnsweep.analysis.importance import estimates_by_cell
from cnnsweep.analysis.results import Results
from cnnsweep.formatting.numbers import count_text, figure_text, is_unused
from cnnsweep.html.chart import Chart, Choice, DataTable, View
from cnnsweep.html.chart_style import axis, layout, scale_of
from cnnsweep.html.markup import chart_text, chart_texts

MOST_AXES = 12  # a page of every pair of more would be mostly heat maps
MOST_LEVELS = 40  # values of one that is not a number
MOST_WRITTEN = 100  # cells; in more there is no room for figures


def heat_map_chart(results: Results, settings: Sequence[Setting]) -> Chart | None:
    """Return a heat map of each pair, that of the largest effects first; None with fewer than two hyperparameters."""
    known = [setting for setting in settings if setting.estimate is not None]
    by_effect = [effect.name for effect in effects(results) if effect.spread is not None][:MOST_AXES]
    runs = in_file_order(results, [setting.runs[0] for setting in known])
    levels = [levels_of(name, runs, always=True) for name in setting_axes(results) if name in by_effect]
    levels = [axis for axis in levels if len(axis.values) <= MOST_LEVELS]
    names = [axis.name for axis in levels]
    views = {}
    for across, up in itertools.permutations(range(len(names)), 2):
        view = _view(results, levels[across], levels[up], known)
        if view is not None:
            views[f"{across},{up}"] = view
    if not views:
        return None
    strongest = [names.index(name) for name in by_effect if name in names]
    first = f"{strongest[0]},{strongest[1]}"
    chosen = first if first in views else next(iter(views))
    choices = [Choice("Across", names), Choice("Up", names)]
    left_out = len(setting_axes(results)) - len(names)
    why = "cannot be chosen: without two means, of little effect, or of too many values"
    notes = [f"{count_text(left_out, 'hyperparameter')} {why}."]
    return Chart("heat-map", "Any two hyperparameters", views, choices, chosen, notes=notes if left_out > 0 else [])


def _view(results: Results, across: Levels, up: Levels, settings: Sequence[Setting]) -> View | None:
    cells = estimates_by_cell(across, up, settings)
    if not cells:
        return None
    metric, mode = results.sweep.objective.metric, results.sweep.objective.mode
    means = {cell: fmean(found.mean for found in part) for cell, part in cells.items()}
    best = (max if mode == "max" else min)(means, key=lambda cell: means[cell])
    columns = [n for n, value in enumerate(across.values) if not is_unused(across.name, value)]
    rows = [n for n, value in enumerate(up.values) if not is_unused(up.name, value)]
    column_names = [across.texts[n] for n in columns]
    row_names = [up.texts[n] for n in rows]
    texts = [[figure_text(metric, means[x, y]) if (x, y) in means else "" for x in columns] for y in rows]
    hovers = [
        [
            f"{chart_text(across.name)} = {chart_text(column)}<br>{chart_text(up.name)} = {chart_text(row)}<br>"
            + (f"mean {metric} {text}, {count_text(len(cells[x, y]), 'setting')}" if text else "not trained")
            for x, column, text in zip(columns, column_names, line, strict=True)
        ]
        for y, row, line in zip(rows, row_names, texts, strict=True)
    ]
    heat = {
        **{"type": "heatmap", "z": [[means.get((x, y)) for x in columns] for y in rows], "colorscale": scale_of(mode)},
        **{"text": texts, "hovertext": hovers, "hoverinfo": "text", "xgap": 2, "ygap": 2},
        "colorbar": {"thickness": 12, "outlinewidth": 0, "title": {"text": metric, "side": "right"}},
        **({"texttemplate": "%{text}"} if len(columns) * len(rows) <= MOST_WRITTEN else {}),
    }
    where = f"{across.name} {across.texts[best[0]]} with {up.name} {up.texts[best[1]]}"
    sentence = (
        f"Mean {metric} of the settings with each combination of {across.name} (across) and {up.name} (up). "
        f"The best is {where}: {figure_text(metric, means[best])}."
    )
    figure = {
        "data": [heat],
        "layout": layout(_category(across.name, column_names), _category(up.name, row_names)),
    }
    table = DataTable([f"{up.name} \\ {across.name}", *column_names], [
        [row, *(text or "–" for text in line)] for row, line in zip(row_names, texts, strict=True)
    ])  # fmt: skip
    return View(sentence, figure, table)


def _category(name: str, values: Sequence[str]) -> dict[str, object]:
    texts = chart_texts(values, 18)
    more = {"tickvals": list(range(len(values))), "ticktext": texts, "showgrid": False, "zeroline": False}
    return axis(chart_text(name, 30), fixedrange=True, **more)
