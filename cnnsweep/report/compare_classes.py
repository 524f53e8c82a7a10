"""Recall by class of two runs, in the terminal and as JSON."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cnnsweep.analysis.chart_classes import percent_text
from cnnsweep.analysis.compare_classes import ClassChange, ClassComparison
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN

_UNPAIRED = (
    "Intervals of the difference take the images of A and B as independent (Newcombe). On the same images they are "
    "wider than needed."
)


def classes_section(found: ClassComparison) -> RenderableType:
    """Return the table with its title, and the names of the runs."""
    title = Text.assemble(("Recall by class", "bold"), ("  the smallest class first", "dim"))
    names = [
        Text(f"{letter} {safe_text(run)}, {images}", "dim")
        for letter, run, images in zip("AB", found.runs, found.images, strict=True)
    ]
    notes = [Text(note, "dim") for note in (*found.notes, _UNPAIRED)]
    return Group(title, *names, Text(), _table(found), Text(), *notes)


def _table(found: ClassComparison) -> Table:
    are_same = all(row.first.images == row.second.images for row in found.rows)
    table = Table(box=None, padding=(0, 1))
    table.add_column("class", overflow="fold")
    for heading in (*(["images"] if are_same else ["images A", "B"]), "recall A", "B", "B − A", "95 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found.rows:
        images = [f"{one.images:,}" for one in ((row.first,) if are_same else (row.first, row.second))]
        cells = [*images, percent_text(row.first.recall), percent_text(row.second.recall)]
        style = "" if not row.is_clear else "green" if (row.difference or 0) > 0 else "red"
        table.add_row(Text(safe_text(row.name)), *cells, Text(_signed(row.difference), style), _ends(row))
    return table


def _signed(share: float | None) -> str:
    """Return a difference in percent points with a true sign."""
    if share is None:
        return UNKNOWN
    text = f"{100 * abs(share):.2f}"
    return text if float(text) == 0 else f"{'+' if share > 0 else '−'}{text}"


def _ends(row: ClassChange) -> str:
    return UNKNOWN if row.ends is None else " to ".join(map(_signed, row.ends))


def classes_to_json(found: ClassComparison) -> dict[str, Any]:
    """Return the comparison as plain values."""
    return {
        "runs": list(found.runs),
        "classes": [
            {
                "class": row.name,
                "images": [row.first.images, row.second.images],
                "recall": [row.first.recall, row.second.recall],
                "difference": row.difference,
                "low": None if row.ends is None else row.ends[0],
                "high": None if row.ends is None else row.ends[1],
            }
            for row in found.rows
        ],
        "notes": list(found.notes),
    }
