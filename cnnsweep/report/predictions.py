"""Predictions as a table, JSON or CSV."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cnnsweep.formatting.csv_text import csv_text
from cnnsweep.formatting.escape import safe_text


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture file with the probability of every class, or with the error that prevented it.

    Attributes:
        warning: its difference from the model's training images.
    """

    file: str
    probabilities: tuple[float, ...] = ()
    error: str | None = None
    warning: str | None = None

    def top(self, classes: Sequence[str], count: int) -> list[tuple[str, float]]:
        """Return the likeliest classes with their probabilities; the first is the prediction."""
        order = sorted(range(len(self.probabilities)), key=lambda place: -self.probabilities[place])
        return [(classes[place], self.probabilities[place]) for place in order[:count]]


def render_predictions(pictures: Sequence[Picture], classes: Sequence[str], count: int, console: Console) -> None:
    """Print the prediction for each readable picture, one per line."""
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(overflow="fold")
    for _ in range(min(count, len(classes))):
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
    for picture in pictures:
        if picture.error is not None:
            continue
        cells: list[Text] = []
        for place, (name, probability) in enumerate(picture.top(classes, count)):
            style = "bold" if place == 0 else "dim"
            cells += [Text(safe_text(name), style), Text(f"{probability:.1%}", style)]
        table.add_row(Text(safe_text(picture.file)), *cells)
    console.print(table)


def predictions_to_json(pictures: Sequence[Picture], classes: Sequence[str], count: int) -> str:
    """Return every picture as JSON, unreadable ones with the reason."""
    return json.dumps(
        [_to_mapping(one, classes, count) for one in pictures], indent=2
    )  # ASCII cannot control a terminal


def _to_mapping(picture: Picture, classes: Sequence[str], count: int) -> Mapping[str, Any]:
    if picture.error is not None:
        return {"file": picture.file, "error": picture.error}
    top = [{"class": name, "probability": probability} for name, probability in picture.top(classes, count)]
    return {"file": picture.file, "top": top, **({"warning": picture.warning} if picture.warning else {})}


def predictions_to_csv(pictures: Sequence[Picture], classes: Sequence[str], count: int) -> str:
    """Return a table of the readable pictures: file, then the likeliest classes each with its probability."""
    shown = min(count, len(classes))
    heading = [name for n in range(1, shown + 1) for name in (f"class_{n}", f"probability_{n}")]
    readable = [picture for picture in pictures if picture.error is None]
    rows = [[picture.file, *(cell for pair in picture.top(classes, count) for cell in pair)] for picture in readable]
    return csv_text([["file", *heading], *rows])
