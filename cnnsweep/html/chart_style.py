"""Colours and axes of the charts.

A chart names a colour by its role; the page's style sheet defines it, for light and dark, and `page.js` puts it in.
All colours remain distinct for colour-blind readers (Okabe and Ito, 2008); lines differ in dashes too.
"""

from collections.abc import Mapping
from typing import Any

from cnnsweep.metrics.names import is_share

SERIES = ("colour:series-1", "colour:series-2", "colour:series-3", "colour:series-4", "colour:series-5")
BANDS = ("colour:band-1", "colour:band-2", "colour:band-3", "colour:band-4", "colour:band-5")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x")
BEST, FAINT, PLAIN, BAD, LINE = (
    "colour:series-1",
    "colour:faint",
    "colour:series-2",
    "colour:series-3",
    "colour:line",
)

# From the worst to the best: luminance is monotonic, and the best contrasts most with the background.
SCALE: list[list[Any]] = [
    [0.0, "scale:0"],
    [0.25, "scale:0.25"],
    [0.5, "scale:0.5"],
    [0.75, "scale:0.75"],
    [1.0, "scale:1"],
]
REVERSED_SCALE: list[list[Any]] = [[1 - share, colour] for share, colour in reversed(SCALE)]


LEGEND = {"orientation": "h", "x": 0, "xanchor": "left", "yref": "container", "y": 0, "yanchor": "bottom"}
FEW_EPOCHS = 12  # each of them has a tick


def scale_colour(share: float) -> str:
    """Return the name of the scale's colour at 0 (worst) to 1 (best)."""
    return f"scale:{min(max(share, 0.0), 1.0):.2f}"


def scale_of(mode: str) -> list[list[Any]]:
    """Return the colour scale of a metric: `max` if higher is better, else `min`."""
    return SCALE if mode == "max" else REVERSED_SCALE


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return an axis with its title."""
    return {"title": {"text": title}, "automargin": True, **more}


def layout(x: Mapping[str, Any], y: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return a layout with two axes and its legend, if any, below the plot."""
    margin = {"l": 56, "r": 16, "t": 24, "b": 48}
    axes = {"xaxis": dict(x), "yaxis": dict(y)}
    return {**axes, "legend": LEGEND, "margin": margin, "hovermode": "closest", **more}


def epoch_axis(last: int) -> dict[str, Any]:
    """Return an axis of epochs, with whole numbers."""
    return axis("epoch", dtick=1) if last <= FEW_EPOCHS else axis("epoch", tickformat="d")


def count_axis(title: str, most: float) -> dict[str, Any]:
    """Return an axis of counts up to `most`, with ticks on whole numbers alone."""
    return axis(title, dtick=1) if most <= FEW_EPOCHS else axis(title, tickformat=",d")


def tick_format(metric: str) -> str:
    """Return plotly's format of a metric's ticks."""
    # Enough digits for the ticks at any zoom; trailing zeros are omitted.
    return ".8~f" if is_share(metric) else ".8~g"
