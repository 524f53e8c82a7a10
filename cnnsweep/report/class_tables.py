"""Scores by class, confusion matrix, most confused pairs and misclassified images in the terminal."""

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cnnsweep.analysis.chart_classes import (
    ClassChart,
    ConfusionChart,
    class_chart,
    confusion_charts,
    ends_text,
)
from cnnsweep.analysis.confusion import Measured
from cnnsweep.analysis.labelled import Labelled
from cnnsweep.analysis.run_evaluation import WrongImage
from cnnsweep.formatting.escape import safe_text
from cnnsweep.report.label_tables import label_table

BAR = 10  # characters
LARGE_SHARE = 0.05  # of a class's images that are taken for another one
_WIDEST_FILE = 60  # characters


def class_tables(evaluation: Measured, console: Console) -> Iterator[RenderableType]:
    """Yield the tables of an evaluation."""
    # Titles are texts of their own: a table's would be wrapped to its width, which may be small.
    if isinstance(evaluation, Labelled):
        if (by_label := label_table(evaluation, console.width)) is not None:
            yield by_label
        return
    classes = class_chart([("", evaluation)])
    if classes is not None:
        title = Text.assemble(("By class", "bold"), (f"  the hardest first{_together(evaluation)}", "dim"))
        yield Group(title, _classes(classes), *map(Text, classes.notes))
    for chart in confusion_charts([("", evaluation)]):
        yield _matrix(chart, console, _together(evaluation))
        if chart.pairs:
            yield Group(Text("Most confused", "bold"), _pairs(chart))


def _together(evaluation: Measured) -> str:
    return f", {evaluation.runs} runs together" if evaluation.runs > 1 else ""


def _classes(chart: ClassChart) -> Table:
    table = Table(box=None, padding=(0, 1))
    table.add_column("class", overflow="fold")
    for heading in ("images", "recall", "95 %", "precision", "F1"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in chart.rows:
        (recall,), (precision,), (f1,) = (row.texts(score) for score in ("recall", "precision", "f1"))
        share = row.values("recall")[0] or 0.0
        full = round(BAR * share)
        bar = Text("█" * full, style="green") + Text("░" * (BAR - full))
        table.add_row(
            Text(safe_text(row.name)), f"{row.images:,}", recall, ends_text(row.ends("recall")[0]), precision, f1, bar
        )
    return table


def _matrix(chart: ConfusionChart, console: Console, together: str) -> RenderableType:
    """Return the matrix with shares if there is room, else the counts alone, else a hint."""
    if chart.is_written:
        for has_shares in (True, False):
            table = _table(chart, has_shares=has_shares)
            if console.measure(table).minimum <= console.width:
                title = Text.assemble(
                    ("Confusion matrix", "bold"), (f"  rows: true class, columns: predicted{together}", "dim")
                )
                cells = [Text("In each cell the images, and their share of the row.", "dim")] if has_shares else []
                return Group(title, table, *cells)
    return Text("The confusion matrix is wider than the terminal; --json prints it.")


def _table(chart: ConfusionChart, *, has_shares: bool) -> Table:
    table = Table(box=None, padding=(0, 1))
    table.add_column("", no_wrap=True, min_width=6)
    for number in range(len(chart.classes)):
        table.add_column(str(number), justify="right", no_wrap=True)
    table.add_column("all", justify="right", no_wrap=True, style="dim")
    for true, row in enumerate(chart.counts):
        total = sum(row)
        cells = [
            _cell(images, total, is_right=true == predicted, has_share=has_shares)
            for predicted, images in enumerate(row)
        ]
        table.add_row(Text(f"{true} {safe_text(chart.classes[true])}"), *cells, f"{total:,}")
    answered = [f"{sum(column):,}" for column in zip(*chart.counts, strict=True)]
    blank = "     " if has_shares else ""
    table.add_row("all", *(one + blank for one in answered), f"{sum(map(sum, chart.counts)):,}", style="dim")
    return table


def _cell(images: int, total: int, *, is_right: bool, has_share: bool) -> Text:
    if not images:
        return Text("0" + ("     " if has_share else "") if is_right else "·" + ("     " if has_share else ""), "dim")
    style = "bold green" if is_right else "red" if images >= LARGE_SHARE * total else ""
    share = f" {percent(images, total):>4}" if has_share else ""
    return Text(f"{images:,}{share}", style=style)


def percent(images: int, total: int) -> str:
    """Return a share in whole percent, never rounded to all or nothing."""
    rounded = round(100 * images / total)
    if rounded == 0 and images:
        return "<1%"
    return ">99%" if rounded == 100 and images < total else f"{rounded}%"


def _pairs(chart: ConfusionChart) -> Table:
    table = Table(box=None, padding=(0, 1))
    for heading in ("true class", "predicted class"):
        table.add_column(heading)
    table.add_column("images", justify="right")
    for true, predicted, images in chart.pairs:
        table.add_row(Text(safe_text(true)), Text(safe_text(predicted)), f"{images:,}")
    return table


def wrong_table(wrong: Sequence[WrongImage], width: int) -> Table:
    """Return a list of misclassified images."""
    table = Table(box=None, padding=(0, 1))
    table.add_column(
        "file" if wrong[0].file is not None else "image", overflow="fold", max_width=min(width // 2, _WIDEST_FILE)
    )
    table.add_column("true class", overflow="fold")
    table.add_column("predicted class", overflow="fold")
    table.add_column("probability", justify="right", no_wrap=True)
    for one in wrong:
        sure = "" if one.probability is None else f"{one.probability:.0%}"
        name = one.file if one.file is not None else str(one.index)
        table.add_row(*(Text(safe_text(value)) for value in (name, one.label, one.predicted)), sure)
    return table
