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
        return self._pairs(classes, self._order[:count])

    def labels(self, classes: Sequence[str], thresholds: Sequence[float]) -> list[tuple[str, float]]:
        """Return the classes above their thresholds with their probabilities, the likeliest first."""
        return self._pairs(classes, [place for place in self._order if self.probabilities[place] > thresholds[place]])

    @property
    def _order(self) -> list[int]:
        return sorted(range(len(self.probabilities)), key=lambda place: -self.probabilities[place])

    def _pairs(self, classes: Sequence[str], places: Sequence[int]) -> list[tuple[str, float]]:
        return [(classes[place], self.probabilities[place]) for place in places]


def render_predictions(
    pictures: Sequence[Picture],
    classes: Sequence[str],
    count: int,
    console: Console,
    thresholds: Sequence[float] | None = None,
) -> None:
    """Print the prediction for each readable picture, one per line.

    Args:
        count: the likeliest classes to show.
        thresholds: of each label, if an image may have several: all labels of it are shown.
    """
    if thresholds is not None:
        _render_labels(pictures, classes, count, console, thresholds)
        return
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


def _render_labels(
    pictures: Sequence[Picture], classes: Sequence[str], count: int, console: Console, thresholds: Sequence[float]
) -> None:
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for picture in pictures:
        if picture.error is None:
            labels = picture.labels(classes, thresholds)
            others = [pair for pair in picture.top(classes, count) if pair not in labels]
            shown = [(f"{safe_text(name)} {probability:.1%}", "bold") for name, probability in labels]
            beside = ", ".join(f"{safe_text(name)} {probability:.1%}" for name, probability in others)
            text = Text(", ").join(Text(*one) for one in shown) if shown else Text("no label", "bold")
            table.add_row(Text(safe_text(picture.file)), text.append(f"  ({beside})", "dim") if beside else text)
    console.print(table)


def predictions_to_json(
    pictures: Sequence[Picture], classes: Sequence[str], count: int, thresholds: Sequence[float] | None = None
) -> str:
    """Return every picture as JSON, unreadable ones with the reason."""
    return json.dumps(
        [_to_mapping(one, classes, count, thresholds) for one in pictures], indent=2
    )  # ASCII cannot control a terminal


def _to_mapping(
    picture: Picture, classes: Sequence[str], count: int, thresholds: Sequence[float] | None
) -> Mapping[str, Any]:
    if picture.error is not None:
        return {"file": picture.file, "error": picture.error}
    top = [{"class": name, "probability": probability} for name, probability in picture.top(classes, count)]
    labels = None if thresholds is None else picture.labels(classes, thresholds)
    several = {} if labels is None else {"labels": [{"class": name, "probability": p} for name, p in labels]}
    return {"file": picture.file, **several, "top": top, **({"warning": picture.warning} if picture.warning else {})}


def predictions_to_csv(
    pictures: Sequence[Picture], classes: Sequence[str], count: int, thresholds: Sequence[float] | None = None
) -> str:
    """Return a table of the readable pictures: file, then the likeliest classes each with its probability.

    With several labels an image, all labels in one column, then for each class 1 or 0, and its probability.
    """
    if thresholds is not None:
        return _labels_to_csv(pictures, classes, thresholds)
    shown = min(count, len(classes))
    heading = [name for n in range(1, shown + 1) for name in (f"class_{n}", f"probability_{n}")]
    readable = [picture for picture in pictures if picture.error is None]
    rows = [[picture.file, *(cell for pair in picture.top(classes, count) for cell in pair)] for picture in readable]
    return csv_text([["file", *heading], *rows])


def _labels_to_csv(pictures: Sequence[Picture], classes: Sequence[str], thresholds: Sequence[float]) -> str:
    heading = ["file", "labels", *(f"{kind}_{name}" for name in classes for kind in ("label", "probability"))]
    rows = []
    for picture in (picture for picture in pictures if picture.error is None):
        names = "; ".join(name for name, _ in picture.labels(classes, thresholds))
        cells = [
            cell for p, least in zip(picture.probabilities, thresholds, strict=True) for cell in (int(p > least), p)
        ]
        rows.append([picture.file, names, *cells])
    return csv_text([heading, *rows])
