"""Tables that fit the terminal: columns are dropped by importance, before cells are wrapped or cut."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.cells import cell_len
from rich.text import Text

from cnnsweep.formatting.distinct import FEW_DIGITS, cut_texts, distinct_texts
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN, align_points, compact_text, is_unused, metric_header, metric_text
from cnnsweep.metrics.names import ACCURACY, LOSS, is_on_validation, on_validation
from cnnsweep.metrics.objective import Objective

GAP = 2  # spaces between two columns
SHORTEST_CUT = 7  # minimum characters of a cut text
SHORTEST_COMFORTABLE = 12  # characters of a text with priority over unimportant columns
LITTLE_IMPORTANCE = 6  # value of `Column.drop` from which columns go before others are cut
# After the deciding accuracy its loss is the most useful; training metrics go before validation metrics.
_DROP_OF_METRICS = {on_validation(ACCURACY): 12, on_validation(LOSS): 13, ACCURACY: 14, LOSS: 15}


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: two columns may look alike
class Column:
    """One column of a table.

    Attributes:
        header: its title, safe to print.
        cells: one per row.
        drop: order of removal for lack of room; the highest goes first, 0 stays.
        narrowest: width to which long cells may be cut before the column is dropped; None forbids cuts.
        style: style of the header.
        short: shorter cells if `cells` do not fit; None without them.
        stays_different: cells that do not fit are cut so that different ones do not look the same.
        comfortable: the width that the column keeps as long as unimportant columns can be dropped instead.
    """

    header: str
    cells: Sequence[Text]
    drop: int
    justify: Literal["left", "right"] = "right"
    narrowest: int | None = None
    style: str = "dim"
    short: Sequence[Text] | None = None
    comfortable: int | None = None
    stays_different: bool = False
    width: int = field(init=False)

    def __post_init__(self) -> None:
        # Text.cell_len is measured once per cell here, and by Rich again only for printed rows.
        object.__setattr__(self, "width", max([cell_len(self.header), *(cell.cell_len for cell in self.cells)]))

    @property
    def least(self) -> int:
        """The width below which the column is dropped."""
        return self.width if self.narrowest is None else min(self.width, self.narrowest)

    @property
    def wanted(self) -> int:
        """The width below which unimportant columns are dropped instead."""
        return self.least if self.comfortable is None else max(min(self.width, self.comfortable), self.least)

    def cells_for(self, width: int) -> Sequence[Text]:
        """Return the cells for a width in characters."""
        if width >= self.width_of_cells:
            return self.cells
        cells = self.cells if self.short is None else self.short
        if not self.stays_different:
            return cells
        texts = cut_texts([cell.plain for cell in cells], width)
        return [Text(text, cell.style) for text, cell in zip(texts, cells, strict=True)]

    @property
    def width_of_cells(self) -> int:
        return max((cell.cell_len for cell in self.cells), default=0)


def setting_column(name: str, values: Sequence[Any], styles: Sequence[str], drop: int) -> Column:
    """Return the column of a hyperparameter: numbers aligned at their points, anything else at the left.

    A dash, or `UNKNOWN` as a value, is shown if a run does not use it. With little room, numbers get fewer digits, then
    the header is cut; numbers are never cut.
    """
    texts = _setting_texts(name, values)
    known = [value for value, text in zip(values, texts, strict=True) if text != UNKNOWN]
    is_numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    if is_numeric:
        texts = align_points(texts)
    cells = [Text(text, style) for text, style in zip(texts, styles, strict=True)]
    header = safe_text(name)
    if is_numeric:
        written = align_points(_setting_texts(name, values, FEW_DIGITS))
        short = [Text(text, style) for text, style in zip(written, styles, strict=True)]
        if max((cell.cell_len for cell in short), default=0) >= max((cell.cell_len for cell in cells), default=0):
            short = cells
        longest = max((cell.cell_len for cell in short), default=0)
        narrowest = max(longest, min(SHORTEST_CUT, cell_len(header)))
        return Column(header, cells, drop, "right", narrowest, short=short, comfortable=max(longest, cell_len(header)))
    # Short values stay whole; long ones, and the header, are cut to this before the column is dropped.
    longest = max((cell.cell_len for cell in cells), default=0)
    narrowest = min(max(SHORTEST_CUT, longest), SHORTEST_CUT + 1)
    comfortable = max(cell_len(header), min(longest, SHORTEST_COMFORTABLE))
    short = [Text(compact_text(value) or text, style) for value, text, style in zip(values, texts, styles, strict=True)]
    return Column(header, cells, drop, "left", narrowest, short=short, comfortable=comfortable, stays_different=True)


def _setting_texts(name: str, values: Sequence[Any], digits: int | None = None) -> list[str]:
    used = [value for value in values if not is_unused(name, value) and value != UNKNOWN]
    texts = iter(distinct_texts(used, digits))
    return [UNKNOWN if is_unused(name, value) or value == UNKNOWN else next(texts) for value in values]


def metric_column(metric: str, objective: Objective, values: Sequence[float | None], styles: Sequence[str]) -> Column:
    """Return the column of a metric; the deciding one is highlighted and kept longest."""
    decides = metric == objective.metric
    drop = 2 if decides else 10 if metric == objective.tie_breaker else _DROP_OF_METRICS.get(metric, _drop(metric))
    texts = align_points([metric_text(metric, value) for value in values])
    cells = [Text(text, f"{style} bold" if decides else style) for text, style in zip(texts, styles, strict=True)]
    header = metric_header(metric, objective.metric, objective.mode)
    return Column(header, cells, drop, style="bold" if decides else "dim")


def _drop(metric: str) -> int:
    return 16 if is_on_validation(metric) else 17


def fit_columns(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """Return the columns that fit into `width` characters, in order, each with its width.

    Unimportant columns are dropped until the rest fits at comfortable widths, then others until it fits at minimum
    widths. The remaining room is distributed, most important first: up to comfortable widths, then to full ones.
    """
    kept = [column for column in columns if column.width]

    def last_dropped() -> Column:
        # The last of equal columns is dropped, so that the first hyperparameters of the file stay.
        return max(reversed(kept), key=lambda column: column.drop)

    def needed(widths: Iterable[int]) -> int:
        return sum(widths) + GAP * (len(kept) - 1)

    while len(kept) > 1 and last_dropped().drop >= LITTLE_IMPORTANCE and needed(c.wanted for c in kept) > width:
        kept.remove(last_dropped())
    while len(kept) > 1 and needed(column.least for column in kept) > width:
        kept.remove(last_dropped())
    room = max(width - needed(column.least for column in kept), 0)
    widths = {id(column): max(min(column.least, width), 1) for column in kept}
    stop_epochs: tuple[Callable[[Column], int], ...] = (lambda column: column.wanted, lambda column: column.width)
    for goal in stop_epochs:
        for column in sorted(kept, key=lambda column: column.drop):
            extra = max(min(goal(column) - widths[id(column)], room), 0)
            widths[id(column)] += extra
            room -= extra
    return [(column, widths[id(column)]) for column in kept]


def build_table(columns: Sequence[Column], width: int, sections: Sequence[int] = ()) -> Text:
    """Return a table of the columns that fit; an empty line follows each row whose position is in `sections`.

    One text of many lines: widths are known already. A `rich.table.Table` would measure every cell again and take
    several times as long, too long for a live display.
    """
    fitted = fit_columns(columns, width)
    header = [Text(column.header, style=column.style) for column, _ in fitted]
    rule = "─" * (sum(column_width for _, column_width in fitted) + GAP * (len(fitted) - 1))
    table = Text(no_wrap=True, overflow="ellipsis", end="")
    _append_row(table, header, fitted)
    table.append(rule + "\n", "dim")
    cells = [column.cells_for(column_width) for column, column_width in fitted]
    for row in range(len(fitted[0][0].cells) if fitted else 0):
        _append_row(table, [column[row] for column in cells], fitted)
        if row in sections:
            table.append("\n")
    return table


def _append_row(table: Text, cells: Sequence[Text], fitted: Sequence[tuple[Column, int]]) -> None:
    for position, (cell, (column, width)) in enumerate(zip(cells, fitted, strict=True)):
        length = cell.cell_len
        if length > width:
            cell = cell.copy()
            cell.truncate(width, overflow="ellipsis")
            length = width
        padding = " " * (width - length)
        if column.justify == "right":
            table.append(padding)
        table.append_text(cell)
        if column.justify == "left" and position < len(fitted) - 1:
            table.append(padding)
        table.append("\n" if position == len(fitted) - 1 else " " * GAP)
