"""A chart of the page: data and layout for plotly, and the same as text for screen readers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

Figure = Mapping[str, Any]  # data and layout for plotly, as plain JSON values; `chart_style` has the names of colours

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DataTable:
    """Values of a chart as text; the first cell of each row is its heading."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class View:
    """One picture of a chart.

    Attributes:
        sentence: a description of the picture.
        table: the values that are drawn, None where another table of the page has them.
    """

    sentence: str
    figure: Figure
    table: DataTable | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A drop-down list and its options."""

    label: str
    options: Sequence[str]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of the page.

    Attributes:
        key: a short word, unique on the page.
        views: by the positions of the chosen options, joined by commas; "" in a chart without choices.
        chosen: the key of the view that is shown first.
        narrowest: width in pixels below which the chart scrolls instead of shrinking.
    """

    key: str
    title: str
    views: Mapping[str, View]
    choices: Sequence[Choice] = ()
    chosen: str = ""
    height: int = 420
    narrowest: int = 0
    notes: Sequence[str] = field(default=())


def single(key: str, title: str, view: View, **more: Any) -> Chart:
    """Return a chart of one view."""
    return Chart(key, title, {"": view}, **more)


def chart_of_views(key: str, title: str, label: str, views: Mapping[str, View], **more: Any) -> Chart | None:
    """Return a chart with a drop-down list of views, the first shown. One view needs no list; without views, None."""
    if len(views) < 2:
        return single(key, title, next(iter(views.values())), **more) if views else None
    by_position = {str(number): view for number, view in enumerate(views.values())}
    return Chart(key, title, by_position, [Choice(label, list(views))], "0", **more)


def drawn(draw: Callable[[T], Chart], chart: T | None) -> Chart | None:
    """Return a chart as the page draws it; None if the sweep has too few results for it."""
    return None if chart is None else draw(chart)
