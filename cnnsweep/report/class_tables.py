"""Accuracy by class, confusion matrix and most confused pairs in the terminal."""

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cnnsweep.analysis.chart_classes import ClassChart, ConfusionChart, class_chart, confusion_charts
from cnnsweep.analysis.confusion import Confused
from cnnsweep.formatting.escape import safe_text

BAR = 20  # characters
LARGE_SHARE = 0.05  # of a class's images that are taken for another one


def class_tables(evaluation: Confused, console: Console) -> Iterator[RenderableType]:
    """Yield the tables of an evaluation."""
    # Titles are texts of their own: a table's would be wrapped to its width, which may be small.
    classes = class_chart([("", evaluation)])
    if classes is not None:
        yield Group(Text("Accuracy by class", "bold"), _classes(classes), *map(Text, classes.notes))
    for chart in confusion_charts([("", evaluation)]):
        matrix = _matrix(chart)
        if chart.is_written and console.measure(matrix).minimum <= console.width:
            title = Text.assemble(("Confusion matrix", "bold"), ("  rows: true class, columns: predicted", "dim"))
            yield Group(title, matrix)
        else:
            yield Text("The confusion matrix is wider than the terminal; --json prints it.")
        if chart.pairs:
            yield Group(Text("Most confused", "bold"), _pairs(chart))


def _classes(chart: ClassChart) -> Table:
    table = Table(box=None, padding=(0, 1))
    table.add_column("class")
    for heading in ("accuracy", "95 %", "images"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for row in chart.rows:
        for share in row.shares:
            if share is not None:
                bar = Text("█" * round(BAR * share.share), style="green") + Text("░" * (BAR - round(BAR * share.share)))
                ends = share.interval_text.removeprefix("95 % ")
                table.add_row(Text(safe_text(row.name)), share.text, ends, f"{share.images:,}", bar)
    return table


def _matrix(chart: ConfusionChart) -> Table:
    table = Table(box=None, padding=(0, 1))
    table.add_column("", no_wrap=True)
    for number in range(len(chart.classes)):
        table.add_column(str(number), justify="right", no_wrap=True)
    for true, row in enumerate(chart.counts):
        cells = [_cell(images, sum(row), true == predicted) for predicted, images in enumerate(row)]
        table.add_row(Text(f"{true} {safe_text(chart.classes[true])}"), *cells)
    return table


def _cell(images: int, total: int, is_right: bool) -> Text:
    if is_right:
        return Text(f"{images}", style="bold green")
    if not images:
        return Text("·", style="dim")
    return Text(f"{images}", style="red" if images >= LARGE_SHARE * total else "")


def _pairs(chart: ConfusionChart) -> Table:
    table = Table(box=None, padding=(0, 1))
    for heading in ("true class", "predicted class"):
        table.add_column(heading)
    table.add_column("images", justify="right")
    for true, predicted, images in chart.pairs:
        table.add_row(Text(safe_text(true)), Text(safe_text(predicted)), f"{images:,}")
    return table
