"""What a chart consists of: what plotly draws, and the same for who cannot see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Figure = Mapping[str, Any]  # plotly's: data and layout, as plain JSON values; see `colours` for what it names


@dataclass(frozen=True, slots=True)
class DataTable:
    """Figures of a chart in text; the first cell of a row is its heading."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class View:
    """One picture of a chart.

    Attributes:
        sentence: what can be seen, for who does not.
        table: the figures that are drawn, None where another table of the page has them.
    """

    sentence: str
    figure: Figure
    table: DataTable | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A drop-down: what may be chosen, as text."""

    label: str
    options: Sequence[str]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of the page.

    Attributes:
        key: a short word, unique in the page.
        views: by the positions of what is chosen, joined by commas; of a chart without choices under "".
        chosen: the view that is shown first.
        narrowest: pixels below which it is scrolled rather than squeezed.
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
