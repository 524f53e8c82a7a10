"""The mean effect of each hyperparameter, with a bar a value."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cnnsweep.analysis.configurations import Setting
from cnnsweep.analysis.effects import Effect, best_values, effects, rest_words
from cnnsweep.analysis.intervals import ends_text
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.statistics import Difference
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN, bar_text, count_text, figure_text
from cnnsweep.metrics.objective import Objective

VALUES_SHOWN = 8  # of one hyperparameter, the best
WIDEST_BAR = 40
SHORT_BARS = 8  # characters that bars keep beside differences
UNPAIRED = "~"
SHORTEST_BAR = 0.1  # of the width: it stands for a mean, not for nothing


@dataclass(frozen=True, slots=True)
class _Row:
    label: str  # the hyperparameter, and below it how far its means are apart
    value: str
    mean: float | None
    runs: str
    difference: str
    is_first: bool
    is_best: bool


def effects_table(results: Results, settings: Sequence[Setting], width: int) -> RenderableType | None:
    """Return the mean of the metric for each value of each hyperparameter that varies, or None if there are no two.

    Bars share one scale, from the smallest mean to the largest, so that a setting that matters shows a ragged edge.
    Where seeds make replicates, a line says how far they lie apart: what differs by less may be noise.
    """
    objective = results.sweep.objective
    found = [effect for effect in effects(results) if any(value.mean is not None for value in effect.values)]
    noise = noise_words(objective, settings)
    if all(effect.spread is None for effect in found):
        return Text(noise) if noise else None
    means = [value.mean for effect in found for value in effect.values if value.mean is not None]
    low, high = min(means), max(means)
    runs = "finished and stopped runs" if any(run.stop for run in results.runs) else "finished runs"
    runs += " alone" if any(run.has_failed for run in results.runs) else ""
    scale = f"{runs}; bars from {figure_text(objective.metric, low)} to {figure_text(objective.metric, high)}"
    title = Text.assemble((f"Mean {objective.metric} by setting", "bold"), (f"  {scale}; ◂ best", "dim"))
    rows = [row for effect in found for row in _rows(effect, objective)]
    parts: list[RenderableType] = [title, Text(), _draw(rows, objective, width)]
    if _layout(rows, objective, width).differences:
        legend = "difference to the best, with its 95 % interval, between runs that are equal in all else"
        if any(row.difference.endswith(UNPAIRED) for row in rows):
            legend += f"; {UNPAIRED} not in pairs, for lack of such runs: other settings differ too"
        parts += [Text(), Text(legend, "dim")]
    if noise:
        parts += [Text(), Text(noise)]
    return Group(*parts)


def noise_words(objective: Objective, settings: Sequence[Setting]) -> str | None:
    """Return how far replicates lie apart: the median, since a setting on the brink of diverging says little."""
    known = [setting.estimate.deviation for setting in settings if setting.estimate is not None]
    deviations = [deviation for deviation in known if deviation is not None]
    if not deviations:
        return None
    keys = [key for setting in settings for key in setting.figures]
    has_folds, has_seeds = any(fold is not None for _, fold in keys), len({seed for seed, _ in keys}) > 1
    middle, low, high = (
        figure_text(objective.metric, value) for value in (median(deviations), min(deviations), max(deviations))
    )
    over = f"; median of {count_text(len(deviations), 'setting')}, {low} to {high}" if len(deviations) > 1 else ""
    by = ("seed and fold" if has_seeds else "fold") if has_folds else "seed"
    return f"Noise: runs that differ by {by} alone have a standard deviation of {middle}{over}"


def difference_text(objective: Objective, found: Difference | None) -> str:
    """Return `−0.0110 (−0.0160 to −0.0060)`, with a sign where it is not in pairs; empty where it is not known."""
    if found is None or found.low is None or found.high is None:
        return ""
    metric = objective.metric
    mean = ("" if found.mean < 0 else "+") + figure_text(metric, found.mean).replace("-", "−", 1)
    return f"{mean} ({ends_text(metric, found.low, found.high, -1.0)})" + (
        "" if found.pairs is not None else f" {UNPAIRED}"
    )


def _rows(effect: Effect, objective: Objective) -> list[_Row]:
    order = objective.rank([value.mean if value.applies else None for value in effect.values])
    spread = "" if effect.spread is None else f"spread {figure_text(objective.metric, effect.spread)}"
    best = best_values(objective, effect)
    rows = []
    for line, position in enumerate(sorted(order[:VALUES_SHOWN])):
        value = effect.values[position]
        label = safe_text(effect.name) if line == 0 else spread if line == 1 else ""
        failed = f", {value.failed:,} failed" if value.failed else ""
        is_best = any(value is one for one in best)
        runs = count_text(value.runs, "run") + failed + ("" if value.applies else " without")
        difference = difference_text(objective, value.difference)
        text = value.text if value.applies else UNKNOWN
        rows.append(_Row(label, text, value.mean, runs, difference, line == 0, is_best))
    if len(order) > VALUES_SHOWN:
        shown, hidden = ([effect.values[n] for n in part] for part in (order[:VALUES_SHOWN], order[VALUES_SHOWN:]))
        rows.append(_Row("", rest_words(shown, hidden), None, "", "", False, False))
    return rows


@dataclass(frozen=True, slots=True)
class _Layout:
    """How many characters each column gets; 0 leaves it out."""

    labels: int
    values: int
    figures: int
    differences: int
    bars: int


def _layout(rows: Sequence[_Row], objective: Objective, width: int) -> _Layout:
    labels = min(max(Text(row.label).cell_len for row in rows), width // 4)
    values = min(max(Text(row.value).cell_len for row in rows), width // 3)
    figures = max(len(figure_text(objective.metric, row.mean)) for row in rows) + 2
    differences = max(len(row.difference) for row in rows)
    room = width - labels - values - figures - max(len(row.runs) for row in rows) - 8
    if differences and room - differences - 2 >= SHORT_BARS:
        return _Layout(labels, values, figures, differences, min(room - differences - 2, WIDEST_BAR))
    return _Layout(labels, values, figures, 0, min(max(room, 4), WIDEST_BAR))


def _draw(rows: list[_Row], objective: Objective, width: int) -> Table:
    means = [row.mean for row in rows if row.mean is not None]
    low, high = min(means), max(means)
    layout = _layout(rows, objective, width)
    widths = [layout.labels, layout.values, layout.figures, layout.differences or None, layout.bars]
    table = Table.grid(padding=(0, 2, 0, 0))
    for column_width in (*(known for known in widths if known is not None), None):
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
            *([Text(row.difference, "dim")] if layout.differences else []),
            Text(bar_text(length, layout.bars), style or "cyan"),
            Text(row.runs, "dim"),
        )
    return table
