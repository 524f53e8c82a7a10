"""The effect of each hyperparameter as a table, with a bar for each value."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cnnsweep.analysis.chart_effects import UNPAIRED, EffectRow, EffectsChart
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import bar_text, metric_text

WIDEST_BAR = 40
SHORT_BARS = 8  # minimum width of bars beside differences
SHORTEST_BAR = 0.1  # share of the width: the smallest mean is not zero


def effects_table(chart: EffectsChart, width: int) -> RenderableType:
    """Return the mean of the metric for each value of each hyperparameter.

    Bars share one scale, from the smallest mean to the largest, so that a strong effect shows a ragged edge.
    """
    scale = _Scale.of(chart)
    ends = f"from {metric_text(chart.metric, scale.low)} to {metric_text(chart.metric, scale.high)}"
    counted = f"  {chart.counted}; bars {ends}; ◂ best"
    title = Text.assemble((f"Mean {chart.metric} by trial", "bold"), (counted, "dim"))
    layout = _layout(chart, width)
    parts: list[RenderableType] = [title, Text(), _draw(chart, layout, scale)]
    if layout.differences:
        has_mark = any(row.difference_text.endswith(UNPAIRED) for row in chart.rows)
        parts += [Text(), Text(chart.legend(UNPAIRED if has_mark else None), "dim")]
    if chart.notes:
        parts += [Text(), *map(Text, chart.notes)]
    return Group(*parts)


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float

    @staticmethod
    def of(chart: EffectsChart) -> "_Scale":
        means = [row.mean for row in chart.rows if row.mean is not None]
        return _Scale(min(means), max(means))

    def length(self, mean: float | None) -> float:
        if mean is None:
            return 0.0
        share = (mean - self.low) / (self.high - self.low) if self.high > self.low else 1.0
        return SHORTEST_BAR + (1 - SHORTEST_BAR) * share


@dataclass(frozen=True, slots=True)
class _Layout:
    """The width of each column in characters; 0 leaves it out."""

    labels: int
    values: int
    means: int
    differences: int
    bars: int


def _layout(chart: EffectsChart, width: int) -> _Layout:
    lines = list(_lines(chart))
    labels = min(max(Text(label).cell_len for label, _, _ in lines), width // 4)
    values = min(max(Text(value).cell_len for _, value, _ in lines), width // 3)
    means = max(len(metric_text(chart.metric, row.mean)) for row in chart.rows) + 2
    differences = max(len(row.difference_text) for row in chart.rows)
    room = width - labels - values - means - max(len(row.runs) for row in chart.rows) - 8
    if differences and room - differences - 2 >= SHORT_BARS:
        return _Layout(labels, values, means, differences, min(room - differences - 2, WIDEST_BAR))
    return _Layout(labels, values, means, 0, min(max(room, 4), WIDEST_BAR))


def _lines(chart: EffectsChart) -> Iterator[tuple[str, str, EffectRow | None]]:
    """Yield label, value and row of each line: the name in a group's first line, the spread of its means below."""
    for group in chart.groups:
        spread = "" if group.spread is None else f"spread {metric_text(chart.metric, group.spread)}"
        labels = [safe_text(group.name), spread]
        for number, row in enumerate(group.rows):
            yield labels[number] if number < len(labels) else "", row.value, row
        if group.rest:
            yield "", group.rest, None


def _draw(chart: EffectsChart, layout: _Layout, scale: _Scale) -> Table:
    widths = [layout.labels, layout.values, layout.means, layout.differences or None, layout.bars]
    table = Table.grid(padding=(0, 2, 0, 0))
    for column_width in (*(known for known in widths if known is not None), None):
        table.add_column(width=column_width, no_wrap=True)
    firsts = [group.rows[0] for group in chart.groups]
    for label, value, row in _lines(chart):
        if row is None:
            table.add_row("", Text(value))
            continue
        is_first = any(row is first for first in firsts)
        if is_first and row is not firsts[0]:
            table.add_row()
        style = "green" if row.is_best else ""
        table.add_row(
            Text(label, "bold" if is_first else "dim"),
            Text(value),  # never a string: Rich would read markup in it
            Text(metric_text(chart.metric, row.mean) + (" ◂" if row.is_best else ""), style),
            *([Text(row.difference_text, "dim")] if layout.differences else []),
            Text(bar_text(scale.length(row.mean), layout.bars), style or "cyan"),
            Text(row.runs, "dim"),
        )
    return table
