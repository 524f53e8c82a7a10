"""Tables of the names allowed in a sweep file, and of the runs that a sweep would train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnsweep.formatting.distinct import distinct_texts
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN, count_text, is_unused
from cnnsweep.types import Run

if TYPE_CHECKING:
    from cnnsweep.datasets.catalogue import DatasetDescription
    from cnnsweep.models.catalogue import ModelListing


def render_models(console: Console, listing: ModelListing) -> None:
    """Print every model name."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, description in listing.single.items():
        table.add_row(Text(name, style="bold"), description)
    table.add_row(Text("package.module:Class", style="bold"), "your own, from an installed or local package")
    table.add_row(Text("path/to/file.py:Class", style="bold"), "your own, from a file beside the sweep file")
    console.print(table)
    for description, names in listing.families.values():
        console.print(f"\n{description}:", style="bold")
        console.print(Columns(names, padding=(0, 2), column_first=True))


def render_datasets(descriptions: Sequence[DatasetDescription], console: Console) -> None:
    """Print every data set with its description and its state on this machine."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True)
    table.add_column("here", no_wrap=True)
    table.add_column("description")
    for data in descriptions:
        here = "–" if data.is_present is None else "yes" if data.is_present else "no"
        table.add_row(Text(data.name, style="bold"), here, data.description)
    console.print(table)
    console.print("A missing data set is downloaded when a sweep names it.", style="dim")


def render_runs(
    name: str,
    runs: Sequence[Run],
    duplicates: int,
    console: Console,
    to_come: int = 0,
    note: str | None = None,
    top: int = 50,
) -> None:
    """Print the runs of a sweep before training.

    Args:
        duplicates: number of combinations that repeat others.
        to_come: number of runs that a search will choose later.
        note: a remark about them, on one line.
    """
    epochs = sum(run.hyperparameters.epochs for run in runs)
    rest = f"; {count_text(duplicates, 'duplicate')} left out" if duplicates else ""
    rest += f"; {to_come:,} more, chosen from the results of these" if to_come > 0 else ""
    counts = f"{count_text(len(runs), 'run')}, {count_text(epochs, 'epoch')}"
    console.print(Text(f"{safe_text(name)}: {counts}{rest}", style="bold"))
    if note is not None:
        console.print(Text(safe_text(note)))
    columns = list(dict.fromkeys(trial for run in runs for trial in run.params))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("#", *columns):
        table.add_column(Text(safe_text(heading)), justify="right")
    cells = [_value_texts(name, [run.params.get(name) for run in runs[:top]]) for name in columns]
    for number, row in enumerate(zip(*cells, strict=True) if cells else [() for _ in runs[:top]], start=1):
        table.add_row(str(number), *map(Text, row))
    console.print(table)
    if len(runs) > top:
        console.print(f"… and {len(runs) - top:,} more; --json lists all")


def _value_texts(name: str, values: Sequence[object]) -> list[str]:
    texts = iter(distinct_texts([value for value in values if not is_unused(name, value)]))
    return [UNKNOWN if is_unused(name, value) else next(texts) for value in values]
