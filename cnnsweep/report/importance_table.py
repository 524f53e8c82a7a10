"""Importance of hyperparameters and pairs that interact, with bars."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cnnsweep.analysis.axes import setting_axes
from cnnsweep.analysis.configurations import Setting
from cnnsweep.analysis.importance import NEEDS_OPTUNA, SETTINGS_PER_AXIS, Interaction, importance, interactions
from cnnsweep.analysis.results import Results
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import bar_text, count_text

PAIRS_SHOWN = 3
AXES_SHOWN = 10
LEAST_SHARE = 0.005  # less is printed as 0 %
FEW_PER_CELL = 3  # settings; below, noise looks like interaction
WIDEST_BAR = 40


def importance_section(results: Results, settings: Sequence[Setting], width: int) -> RenderableType | None:
    """Return what matters most, alone and in pairs, or None where nothing can be said."""
    parts = [*_importance(results, settings, width), *_interactions(interactions(results, settings), width)]
    return Group(*parts) if parts else None


def _importance(results: Results, settings: Sequence[Setting], width: int) -> list[RenderableType]:
    shares = importance(results, settings)
    if shares is None:
        return [Text(NEEDS_OPTUNA, "dim")]
    if not shares:
        return []
    legend = "  what tells the best settings from the rest (PED-ANOVA)"
    rows = [(safe_text(name), share) for name, share in list(shares.items())[:AXES_SHOWN]]
    parts: list[RenderableType] = [Text.assemble(("Importance", "bold"), (legend, "dim")), Text(), _bars(rows, width)]
    known = sum(setting.estimate is not None for setting in settings)
    needed = SETTINGS_PER_AXIS * len(setting_axes(results))
    if known < needed:
        few = f"{count_text(known, 'setting')} are few for {count_text(len(shares), 'hyperparameter')}"
        parts.append(Text(f"{few}: a rough guess below {needed:,}", "magenta"))
    return [*parts, Text()]


def _interactions(pairs: Sequence[Interaction], width: int) -> list[RenderableType]:
    pairs = [pair for pair in pairs if pair.share >= LEAST_SHARE]
    if not pairs:
        return []
    legend = "  share of the differences between combinations that two hyperparameters make only together"
    shown = pairs[:PAIRS_SHOWN]
    rows = [(f"{safe_text(pair.first)} × {safe_text(pair.second)}", pair.share) for pair in shown]
    parts: list[RenderableType] = [Text.assemble(("Interaction", "bold"), (legend, "dim")), Text(), _bars(rows, width)]
    if any(pair.per_cell < FEW_PER_CELL for pair in shown):
        fewest = min(pair.per_cell for pair in shown)
        parts.append(Text(f"{fewest:.1f} settings a combination are few: some of it is noise", "magenta"))
    if any(pair.cells < pair.possible for pair in shown):
        parts.append(Text("not every combination was trained: shares are of those that were", "dim"))
    return parts


def _bars(rows: Sequence[tuple[str, float]], width: int) -> Table:
    labels = min(max(Text(label).cell_len for label, _ in rows), width // 2)
    bars = min(max(width - labels - 10, 4), WIDEST_BAR)
    table = Table.grid(padding=(0, 2, 0, 0))
    for column_width in (labels, 5, bars):
        table.add_column(width=column_width, no_wrap=True)
    for label, share in rows:
        table.add_row(Text(label), Text(f"{share * 100:3.0f} %"), Text(bar_text(share, bars), "cyan"))
    return table
