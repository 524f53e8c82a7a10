"""Scores by label, and images with wrong labels, in the terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cnnsweep.analysis.chart_classes import class_chart, ends_text
from cnnsweep.analysis.labelled import Labelled
from cnnsweep.analysis.run_evaluation import WrongImage
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN

_WIDEST_FILE = 60  # characters
_ROOM_FOR_INTERVALS = 96  # characters


def label_table(evaluation: Labelled, width: int) -> RenderableType | None:
    """Return recall, precision, F1, average precision and threshold of each label; None without images.

    Intervals of the recall need room.
    """
    chart = class_chart([("", evaluation)])
    if chart is None:
        return None
    has_ends = width >= _ROOM_FOR_INTERVALS
    words = "; 95 % intervals of the recall" if has_ends else ""
    title = Text.assemble(("By label", "bold"), (f"  the hardest first, at the chosen thresholds{words}", "dim"))
    table = Table(box=None, padding=(0, 1))
    table.add_column("label", overflow="fold")
    for heading in ("images", "recall", *(["95 %"] if has_ends else []), "precision", "F1", "AP", "threshold"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in chart.rows:
        place = evaluation.classes.index(row.name)
        (recall,), (precision,), (f1,) = (row.texts(score) for score in ("recall", "precision", "f1"))
        ends, found = [ends_text(row.ends("recall")[0])] if has_ends else [], evaluation.average_precision[place]
        average = UNKNOWN if found is None else f"{found:.4f}"
        threshold = f"{evaluation.thresholds[place]:.3f}" if evaluation.thresholds else UNKNOWN
        cells = (f"{row.images:,}", recall, *ends, precision, f1, average, threshold)
        table.add_row(Text(safe_text(row.name)), *cells)
    return Group(title, table, *map(Text, chart.notes))


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
