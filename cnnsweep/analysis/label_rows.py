"""Table of the labels of an evaluation, as texts: scores at the chosen thresholds, average precision, threshold."""

from cnnsweep.analysis.chart_classes import class_chart, ends_text
from cnnsweep.analysis.labelled import Labelled
from cnnsweep.formatting.numbers import UNKNOWN

HEADINGS = ("label", "images", "recall", "95 %", "precision", "F1", "AP", "threshold")


def label_rows(one: Labelled) -> list[list[str]]:
    """Return a row for each label with images, the hardest first; see `HEADINGS`."""
    chart = class_chart([("", one)])
    if chart is None:
        return []
    rows = []
    for row in chart.rows:
        place = one.classes.index(row.name)
        average = one.average_precision[place] if one.average_precision else None
        rows.append([
            row.name,
            f"{row.images:,}",
            row.texts("recall")[0],
            ends_text(row.ends("recall")[0]),
            row.texts("precision")[0],
            row.texts("f1")[0],
            UNKNOWN if average is None else f"{average:.4f}",
            f"{one.thresholds[place]:.3f}" if one.thresholds else UNKNOWN,
        ])  # fmt: skip
    return rows
