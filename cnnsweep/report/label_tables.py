"""Scores by label, and images with wrong labels, in the terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cnnsweep.analysis.label_rows import HEADINGS, label_rows
from cnnsweep.analysis.labelled import Labelled
from cnnsweep.analysis.run_evaluation import WrongImage
from cnnsweep.formatting.escape import safe_text

_WIDEST_FILE = 60  # characters
_ROOM_FOR_INTERVALS = 96  # characters


def label_table(evaluation: Labelled, width: int) -> RenderableType | None:
    """Return recall, precision, F1, average precision and threshold of each label; None without images.

    Intervals of the recall need room.
    """
    rows = label_rows(evaluation)
    if not rows:
        return None
    has_ends = width >= _ROOM_FOR_INTERVALS
    words = "; 95 % intervals of the recall" if has_ends else ""
    words += f", {evaluation.runs} runs together" if evaluation.runs > 1 else ""
    title = Text.assemble(("By label", "bold"), (f"  the hardest first, at the chosen thresholds{words}", "dim"))
    table = Table(box=None, padding=(0, 1))
    shown = [place for place, heading in enumerate(HEADINGS) if has_ends or heading != "95 %"]
    for place in shown:
        table.add_column(HEADINGS[place], justify="right" if place else "left", overflow="fold", no_wrap=bool(place))
    for row in rows:
        table.add_row(*(Text(safe_text(row[place])) for place in shown))
    return Group(title, table)


def wrong_label_table(wrong: Sequence[WrongImage], width: int) -> Table:
    """Return a list of images with the labels that are missed and invented."""
    table = Table(box=None, padding=(0, 1))
    heading = "file" if wrong[0].file is not None else "image"
    table.add_column(heading, overflow="fold", max_width=min(width // 2, _WIDEST_FILE))
    for heading in ("labels", "missed", "invented"):
        table.add_column(heading, overflow="fold")
    table.add_column("certainty", justify="right", no_wrap=True)
    for one in wrong:
        name = one.file if one.file is not None else str(one.index)
        cells = (name, one.label, ", ".join(one.missed), ", ".join(one.invented))
        sure = "" if one.probability is None else f"{one.probability:.0%}"
        table.add_row(*(Text(safe_text(cell)) for cell in cells), sure)
    return table
