"""Table by label on the page."""

from cnnsweep.analysis.confusion import IMAGES
from cnnsweep.analysis.label_rows import HEADINGS, label_rows
from cnnsweep.analysis.labelled import Labelled
from cnnsweep.html.chart import DataTable
from cnnsweep.html.evaluations import Evaluated
from cnnsweep.html.markup import text
from cnnsweep.html.sections import scrolled, table_markup


def labels_section(evaluated: Evaluated) -> str:
    """Return the table of the first run with several labels an image; empty without one."""
    for name, one in evaluated:
        if isinstance(one, Labelled) and (rows := label_rows(one)):
            words = (
                f"{name} on {one.total:,} {IMAGES[one.split]}, the hardest label first. Scores are at the thresholds, "
                "which were chosen on validation images; AP is the average precision over all thresholds."
            )
            table = table_markup(DataTable(list(HEADINGS), rows))
            return f"<p>{text(words)}</p>{scrolled('Scores by label', table)}"
    return ""
