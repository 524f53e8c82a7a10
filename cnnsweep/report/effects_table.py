"""The mean effect of each hyperparameter, with a bar a value."""

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cnnsweep.display.figures import bar_text, count_text, figure_text, setting_text
from cnnsweep.display.safe_text import safe_text
from cnnsweep.report.results import Results
from cnnsweep.report.summary import Effect, effects
from cnnsweep.selection import Objective

VALUES_SHOWN = 8  # of one hyperparameter, the best
WIDEST_BAR = 40
SHORTEST_BAR = 0.1  # of the width: it stands for a mean, not for nothing


@dataclass(frozen=True, slots=True)
class _Row:
    label: str  # the hyperparameter, and below it how far its means are apart
    value: str
    mean: float | None
    runs: str
    is_first: bool
    is_best: bool


def effects_table(results: Results, width: int) -> RenderableType | None:
    """Return the mean of the metric for each value of each hyperparameter that varies, or None if there are no two.

    Bars share one scale, from the smallest mean to the largest, so that a setting that matters shows a ragged edge.
    """
    objective = results.sweep.objective
    found = [effect for effect in effects(results) if any(value.mean is not None for value in effect.values)]
    means = [value.mean for effect in found for value in effect.values if value.mean is not None]
    if all(effect.spread is None for effect in found):
        return None
    low, high = min(means), max(means)
    scale = f"finished runs; bars from {figure_text(objective.metric, low)} to {figure_text(objective.metric, high)}"
    title = Text.assemble((f"Mean {objective.metric} by setting", "bold"), (f"  {scale}; ◂ best", "dim"))
    return Group(title, Text(), _draw([row for effect in found for row in _rows(effect, objective)], objective, width))


def _rows(effect: Effect, objective: Objective) -> list[_Row]:
    order = objective.rank([value.mean for value in effect.values])
    spread = "" if effect.spread is None else f"spread {figure_text(objective.metric, effect.spread)}"
    rows = []
    for line, position in enumerate(sorted(order[:VALUES_SHOWN])):
        value = effect.values[position]
        label = safe_text(effect.name) if line == 0 else spread if line == 1 else ""
        failed = f", {value.failed:,} failed" if value.failed else ""
        is_best = position == order[0] and effect.spread is not None
        runs = count_text(value.runs, "run") + failed
        rows.append(_Row(label, setting_text(value.value), value.mean, runs, line == 0, is_best))
    if len(order) > VALUES_SHOWN:
        rows.append(_Row("", f"… {len(order) - VALUES_SHOWN:,} worse", None, "", False, False))
    return rows


def _draw(rows: list[_Row], objective: Objective, width: int) -> Table:
    means = [row.mean for row in rows if row.mean is not None]
    low, high = min(means), max(means)
    labels = min(max(Text(row.label).cell_len for row in rows), width // 4)
    values = min(max(Text(row.value).cell_len for row in rows), width // 5)
    figures = max(len(figure_text(objective.metric, mean)) for mean in means) + 2
    bars = min(max(width - labels - values - figures - max(len(row.runs) for row in rows) - 8, 4), WIDEST_BAR)
    table = Table.grid(padding=(0, 2, 0, 0))
    for column_width in (labels, values, figures, bars, None):
        table.add_column(width=column_width, no_wrap=True)
    for position, row in enumerate(rows):
        if row.is_first and position:
            table.add_row()
        style = "green" if row.is_best else ""
        figure = figure_text(objective.metric, row.mean) if row.runs else ""
        share = (row.mean - low) / (high - low) if row.mean is not None and high > low else 1.0
        length = 0.0 if row.mean is None else SHORTEST_BAR + (1 - SHORTEST_BAR) * share
        table.add_row(
            Text(row.label, "bold" if row.is_first else "dim"),
            Text(row.value),  # never a string: Rich would read markup in it
            Text(figure + (" ◂" if row.is_best else ""), style),
            Text(bar_text(length, bars), style or "cyan"),
            Text(row.runs, "dim"),
        )
    return table
