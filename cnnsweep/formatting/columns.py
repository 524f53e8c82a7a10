"""Tables that fit the terminal: columns are dropped by importance, before any cell is wrapped or crushed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.cells import cell_len
from rich.text import Text

from cnnsweep.formatting.distinct import FEW_DIGITS, distinct_texts
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN, align_points, is_unused, metric_header, metric_text
from cnnsweep.metrics.names import is_accuracy
from cnnsweep.metrics.objective import Objective

GAP = 2  # spaces between two columns
SHORTEST_CUT = 7  # characters that a cut text keeps
SHORTEST_COMFORTABLE = 12  # characters of a text that are worth more than columns of little importance
LITTLE_IMPORTANCE = 6  # of `Column.drop`, from here on: such columns go before others are crushed


@dataclass(frozen=True, slots=True, eq=False)  # two columns may look alike and are still two
class Column:
    """One column of a table.

    Attributes:
        header: its title, safe to print.
        cells: one a row.
        drop: order in which columns go where there is no room; the highest goes first, 0 stays.
        narrowest: width to which long cells may be cut before the column is dropped; None forbids cutting.
        style: of the header.
        short: shorter cells for where `cells` do not fit; None if there are none.
        comfortable: the width that the column keeps as long as columns of little importance can go instead.
    """

    header: str
    cells: Sequence[Text]
    drop: int
    justify: Literal["left", "right"] = "right"
    narrowest: int | None = None
    style: str = "dim"
    short: Sequence[Text] | None = None
    comfortable: int | None = None
    width: int = field(init=False)

    def __post_init__(self) -> None:
        # Text.cell_len is measured once a cell here, and by Rich again only for the rows that are printed.
        object.__setattr__(self, "width", max([cell_len(self.header), *(cell.cell_len for cell in self.cells)]))

    @property
    def least(self) -> int:
        """The width below which the column is dropped."""
        return self.width if self.narrowest is None else min(self.width, self.narrowest)

    @property
    def wanted(self) -> int:
        """The width below which columns of little importance are dropped instead."""
        return self.least if self.comfortable is None else max(min(self.width, self.comfortable), self.least)

    def cells_for(self, width: int) -> Sequence[Text]:
        """Return the cells for a width in characters."""
        return self.cells if self.short is None or width >= self.width_of_cells else self.short

    @property
    def width_of_cells(self) -> int:
        return max((cell.cell_len for cell in self.cells), default=0)


def setting_column(name: str, values: Sequence[Any], styles: Sequence[str], drop: int) -> Column:
    """Return the column of a hyperparameter: numbers aligned at their points, anything else at the left.

    A dash, or `UNKNOWN` as a value, stands where a run does not use it. Where there is little room, numbers
    are written with fewer digits, and only then is the header cut; numbers themselves never are.
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
    return Column(header, cells, drop, "left", narrowest, comfortable=comfortable)


def _setting_texts(name: str, values: Sequence[Any], digits: int | None = None) -> list[str]:
    used = [value for value in values if not is_unused(name, value) and value != UNKNOWN]
    texts = iter(distinct_texts(used, digits))
    return [UNKNOWN if is_unused(name, value) or value == UNKNOWN else next(texts) for value in values]


def metric_column(metric: str, objective: Objective, values: Sequence[float | None], styles: Sequence[str]) -> Column:
    """Return the column of a loss or accuracy; the deciding one stands out and is kept longest."""
    decides = metric == objective.metric
    # Beside the deciding accuracy its own loss is the most useful; the training metrics go first.
    drop = 2 if decides else 10 if metric == objective.tie_breaker else 12 if is_accuracy(metric) else 14
    texts = align_points([metric_text(metric, value) for value in values])
    cells = [Text(text, f"{style} bold" if decides else style) for text, style in zip(texts, styles, strict=True)]
    header = metric_header(metric, objective.metric, objective.mode)
    return Column(header, cells, drop, style="bold" if decides else "dim")


def fit_columns(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """Return the columns that fit into `width` characters, in order, each with the width it gets.

    Columns of little importance go until the rest fits at its comfortable widths, then any until it fits at its least
    widths. The remaining room is given back, most important first: up to comfortable widths, then to full ones.
    """
    kept = [column for column in columns if column.width]

    def last_dropped() -> Column:
        # The last of equals goes, so that the hyperparameters that the file names first stay.
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

    One text of many lines: widths are known by now, and a `rich.table.Table`, which would measure every cell again,
    takes several times as long, too long for something that is drawn all the time.
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
