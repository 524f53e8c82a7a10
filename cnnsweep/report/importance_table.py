"""Importance and interaction as bars of characters."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cnnsweep.analysis.chart_importance import Bar, ShareChart
from cnnsweep.formatting.numbers import bar_text

WIDEST_BAR = 40


def share_bars(chart: ShareChart, width: int) -> RenderableType:
    """Return the bars below their title, and the notes."""
    title = Text.assemble((chart.title, "bold"), (f"  {chart.meaning}", "dim"))
    return Group(title, Text(), _bars(chart.bars, width), *(Text(note, "magenta") for note in chart.notes))


def _bars(shown: tuple[Bar, ...], width: int) -> Table:
    labels = min(max(Text(bar.label).cell_len for bar in shown), width // 2)
    room = min(max(width - labels - 10, 4), WIDEST_BAR)
    table = Table.grid(padding=(0, 2, 0, 0))
    for column_width in (labels, 5, room):
        table.add_column(width=column_width, no_wrap=True)
    for bar in shown:
        table.add_row(Text(bar.label), Text(f"{bar.text:>5}"), Text(bar_text(bar.share, room), "cyan"))
    return table
