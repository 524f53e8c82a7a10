"""Curves drawn with characters: metrics by epoch, losses by batch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cnnsweep.formatting.distinct import number_texts

HEIGHT = 13  # lines, of which three are the title, the axis and its numbers
WIDEST = 90
NARROWEST = 48  # minimum width of a curve beside another
COLOURS = ("green", "cyan", "magenta", "yellow", "blue")
_PLOTEXT_COLOURS = {"yellow": "orange"}  # plotext's name for the terminal's colour 3


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through points, with a character at its end, so that lines differ without colour too."""

    label: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    colour: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Some curves over a common axis; the first is drawn on top."""

    title: str
    curves: tuple[Curve, ...]


def draw_side_by_side(plots: Sequence[Plot], width: int) -> RenderableType:
    """Return the plots side by side if there is room, else below each other."""
    if len(plots) * (NARROWEST + 2) > width:
        grid = Table.grid()
        for plot in plots:
            grid.add_row(draw_plot(plot, min(width, WIDEST)))
        return grid
    each = min((width - 2 * (len(plots) - 1)) // len(plots), WIDEST)
    grid = Table.grid(padding=(0, 2))
    grid.add_row(*(draw_plot(plot, each) for plot in plots))
    return grid


def draw_plot(plot: Plot, width: int) -> Text:
    """Return a plot of `width` characters and `HEIGHT` lines; it must hold at least one point."""
    import plotext  # takes 0.16 s, and many reports have no curves

    plotext.terminal.limit(False, False)  # the console has a width even without a terminal
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.canvas("default")
    figure.plot_size(width, HEIGHT)
    figure.title(plot.title)
    for side in (("x", "upper"), ("y", "right")):
        figure.axes(False, axis=side[0], side=side[1])

    xs = [x for curve in plot.curves for x in curve.xs]
    ys = [y for curve in plot.curves for y in curve.ys]
    lowest, highest = _widened(min(ys), max(ys))
    first, last = _widened(min(xs), max(xs))
    margin = (last - first) * 3 / width  # for the labels
    figure.ruler("x").lim(first, last + margin)
    figure.ruler("y").lim(lowest, highest)
    for axis, ticks in (("x", nice_ticks(first, last, width // 10, True)), ("y", nice_ticks(lowest, highest, 6))):
        figure.ruler(axis).ticks(ticks, _tick_texts(ticks))

    line = (highest - lowest) / (HEIGHT - 4)
    ends = spread([curve.ys[-1] for curve in plot.curves], line, lowest, highest)
    for curve, end in reversed(list(zip(plot.curves, ends, strict=True))):
        colour = _PLOTEXT_COLOURS.get(curve.colour, curve.colour)
        figure.draw(figure.signal(curve.xs, curve.ys, marker=plotext.marker("braille").fill(colour)).lines())
        figure.draw(figure.signal([last + margin], [end], marker=plotext.marker(curve.label).fill(colour)))
    text = Text.from_ansi(figure.build().string().rstrip("\n"))
    text.no_wrap = True
    return text


def _widened(low: float, high: float) -> tuple[float, float]:
    """Return distinct limits, even if all values are equal."""
    if high > low:
        return low, high
    apart = abs(low) * 0.1 or 0.5
    return low - apart, high + apart


def nice_ticks(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    """Return about `most` numbers from `low` to `high`, in steps of 1, 2 or 5 times a power of ten; two at least.

    Args:
        whole: no step below 1, for counts.
    """
    rough = (high - low) / max(most, 2)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    if whole:
        step = max(step, 1.0)
    # A thousandth of a step keeps the tick at either end despite rounding.
    ticks = [round(k * step, 12) for k in range(math.ceil(low / step - 1e-3), math.floor(high / step + 1e-3) + 1)]
    return ticks if len(ticks) > 1 else [low, high]


def _tick_texts(ticks: Sequence[float]) -> list[str]:
    """Return the ticks with as many decimals as their step needs."""
    step = abs(ticks[1] - ticks[0])
    if not 1e-6 <= step < 1e6:
        return number_texts(ticks, 3)
    decimals = max(-math.floor(math.log10(step) + 1e-9), 0)
    return [f"{tick:,.{decimals}f}" for tick in ticks]


def spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return positions for labels: as near to `values` as possible, in order, `gap` apart, within the limits."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    places = [0.0] * len(values)
    floor = low
    for index in order:
        places[index] = max(values[index], floor)
        floor = places[index] + gap
    ceiling = high
    for index in reversed(order):  # labels pushed beyond the upper limit move down again
        places[index] = min(places[index], ceiling)
        ceiling = places[index] - gap
    return places
