"""Parallel coordinates: each setting a line through its hyperparameters, coloured by the metric.

Drawn as plain lines: plotly's own kind needs WebGL, which prints badly and is absent on many machines.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnnsweep.analysis.axes import MANY_VALUES, canonical, in_file_order, is_number, levels_of, setting_axes
from cnnsweep.analysis.configurations import Setting, setting_words
from cnnsweep.analysis.importance import LOG_SPAN
from cnnsweep.analysis.results import Results
from cnnsweep.formatting.distinct import number_texts
from cnnsweep.formatting.numbers import UNKNOWN, figure_text, is_unused
from cnnsweep.html.chart import Chart, View, single
from cnnsweep.html.chart_style import LINE, scale_colour, scale_of, tick_format
from cnnsweep.html.markup import chart_text, chart_texts

MOST_LINES = 400
ALWAYS_SHOWN = 100  # the best; of the others every n-th
COLOURS = 12
MOST_AXES = 14
TICKS = 5
UNUSED_AT = -0.12  # below the axis, for settings that have no use for it
PIXELS_PER_AXIS = 96
PIXELS_OF_COLOUR_BAR = 90


@dataclass(frozen=True, slots=True)
class _Axis:
    name: str
    places: Sequence[float]  # of each setting, from 0 to 1
    ticks: Sequence[tuple[float, str]]


def parallel_chart(results: Results, settings: Sequence[Setting]) -> Chart | None:
    """Return the chart, or None with fewer than two settings that have a figure or without a varying axis."""
    placed = [setting for setting in settings if setting.estimate is not None]
    names = setting_axes(results)[:MOST_AXES]
    if len(placed) < 2 or not names:
        return None
    shown = _thinned(placed)
    figures = [setting.estimate.mean for setting in shown if setting.estimate is not None]
    objective = results.sweep.objective
    low, high = _limits(figures, objective.mode)
    axes = [_axis(results, name, shown) for name in names]
    axes.append(_number_axis(objective.metric, figures, False, low, high))
    traces = _lines(results, shown, figures, axes, low, high)
    traces.append(_colour_bar(objective.metric, objective.mode, low, high))
    is_thinned = len(shown) < len(placed)
    left_out = f" Of {len(placed):,} settings {len(shown):,} are drawn, the best among them." if is_thinned else ""
    best = setting_words(results, shown[0], ", ")
    sentence = (
        f"Each line is a setting, from its hyperparameters to its {objective.metric}; the stronger the colour, the "
        f"better. The best is {best}.{left_out} The table of all runs has every value."
    )
    more = [f"{len(setting_axes(results)) - MOST_AXES} more hyperparameters have no room."]
    return single(
        *("parallel", "Settings side by side", View(sentence, {"data": traces, "layout": _layout(axes)})),
        narrowest=PIXELS_PER_AXIS * len(axes) + PIXELS_OF_COLOUR_BAR,
        notes=more if len(setting_axes(results)) > MOST_AXES else [],
    )


def _thinned(placed: Sequence[Setting]) -> Sequence[Setting]:
    if len(placed) <= MOST_LINES:
        return placed
    rest = placed[ALWAYS_SHOWN:]
    return [*placed[:ALWAYS_SHOWN], *rest[:: math.ceil(len(rest) / (MOST_LINES - ALWAYS_SHOWN))]]


def _limits(figures: Sequence[float], mode: str) -> tuple[float, float]:
    """Return the ends of the colour scale; a bad tail, which says little, does not take the colours from the rest."""
    ordered = sorted(figures)
    tail = len(ordered) // 10
    low, high = (ordered[tail], ordered[-1]) if mode == "max" else (ordered[0], ordered[-1 - tail])
    return (low, high) if low < high else (ordered[0], ordered[-1])


def _axis(results: Results, name: str, settings: Sequence[Setting]) -> _Axis:
    values = [setting.settings.get(name) for setting in settings]
    used = [value for value in values if not is_unused(name, value)]
    numbers: list[float] = [value for value in used if value is not None and is_number(value)]
    if len(numbers) == len(used) and len(set(numbers)) > MANY_VALUES:
        low, high = min(numbers), max(numbers)
        return _number_axis(name, values, 0 < low <= high / LOG_SPAN, low, high)
    levels = levels_of(name, in_file_order(results, [setting.runs[0] for setting in settings]))
    kept = [n for n, value in enumerate(levels.values) if not is_unused(name, value)]
    place = {n: (k + 0.5) / len(kept) for k, n in enumerate(kept)}
    places = [place.get(levels.of[canonical(setting.runs[0].settings[name])], UNUSED_AT) for setting in settings]
    ticks = [(place[n], levels.texts[n]) for n in kept[:: math.ceil(len(kept) / 20) or 1]]
    return _Axis(name, places, ticks)


def _number_axis(name: str, values: Sequence[float | None], is_log: bool, low: float, high: float) -> _Axis:
    def place(value: float) -> float:
        if high == low:
            return 0.5
        if is_log:
            return math.log(value / low) / math.log(high / low)
        return min(max((value - low) / (high - low), 0.0), 1.0)

    shares = [part / (TICKS - 1) for part in range(TICKS)] if high > low else [0.5]
    ends = [low * (high / low) ** share if is_log else low + (high - low) * share for share in shares]
    ticks = list(zip(shares, number_texts(ends, 3), strict=True))
    return _Axis(name, [UNUSED_AT if value is None else place(value) for value in values], ticks)


def _lines(
    results: Results,
    settings: Sequence[Setting],
    figures: Sequence[float],
    axes: Sequence[_Axis],
    low: float,
    high: float,
) -> list[dict[str, Any]]:
    """Return one trace a colour, its lines parted by gaps, the best on top; and the very best in one of its own."""
    metric, mode = results.sweep.objective.metric, results.sweep.objective.mode
    members: dict[int, list[int]] = {}
    for number, figure in enumerate(figures):
        share = min(max((figure - low) / (high - low), 0.0), 1.0) if high > low else 1.0
        better = share if mode == "max" or high == low else 1 - share
        members.setdefault(COLOURS if number == 0 else round(better * (COLOURS - 1)), []).append(number)
    traces = []
    for colour, numbers in sorted(members.items()):
        xs: list[float | None] = []
        ys: list[float | None] = []
        texts: list[str] = []
        for number in numbers:
            words = chart_text(setting_words(results, settings[number], ", "), 160)
            hover = f"{words}<br>{metric} {figure_text(metric, figures[number])}"
            xs += [*range(len(axes)), None]
            ys += [*(axis.places[number] for axis in axes), None]
            texts += [*[""] * (len(axes) - 1), hover, ""]
        is_best = colour == COLOURS
        traces.append({
            **{"type": "scatter", "mode": "lines+markers" if is_best else "lines", "x": xs, "y": ys},
            **{"hoverinfo": "text", "text": texts, "showlegend": False, "cliponaxis": False},
            "line": {"color": scale_colour(colour / (COLOURS - 1)), "width": 4 if is_best else 1.3},
            "marker": {"size": 8},
        })  # fmt: skip
    return traces


def _colour_bar(metric: str, mode: str, low: float, high: float) -> dict[str, Any]:
    bar = {
        "title": {"text": metric, "side": "right"},
        "thickness": 12,
        "outlinewidth": 0,
        "tickformat": tick_format(metric),
    }
    marker = {"color": [low, high], "cmin": low, "cmax": high, "colorscale": scale_of(mode), "showscale": True}
    return {
        **{"type": "scatter", "mode": "markers", "x": [None, None], "y": [None, None], "showlegend": False},
        **{"hoverinfo": "skip", "marker": {**marker, "colorbar": bar}},
    }


def _layout(axes: Sequence[_Axis]) -> dict[str, Any]:
    lines = [
        {"type": "line", "x0": n, "x1": n, "y0": 0, "y1": 1, "line": {"color": LINE, "width": 1}, "layer": "below"}
        for n in range(len(axes))
    ]
    labels = [
        {
            **{"x": n, "y": y, "text": label, "showarrow": False, "xanchor": "left", "xshift": 4},
            **{"bgcolor": "colour:label", "borderpad": 1, "font": {"size": 11}},
        }
        for n, axis in enumerate(axes)
        for (y, _), label in zip(axis.ticks, chart_texts([text for _, text in axis.ticks], 16), strict=True)
    ]
    has_unused = any(UNUSED_AT in axis.places for axis in axes)
    if has_unused:
        labels.append({"x": 0, "y": UNUSED_AT, "text": f"{UNKNOWN} not used", "showarrow": False, "xanchor": "right"})
    names = chart_texts([axis.name for axis in axes], 14)
    hidden = {"showgrid": False, "showline": False, "zeroline": False, "fixedrange": True}
    return {
        "xaxis": {**hidden, "side": "top", "tickvals": list(range(len(axes))), "ticktext": names, "tickangle": 0,
                  "range": [-0.25, len(axes) - 0.5]},
        "yaxis": {**hidden, "visible": False, "range": [-0.18 if has_unused else -0.04, 1.04]},
        "shapes": lines, "annotations": labels, "margin": {"l": 24, "r": 16, "t": 36, "b": 16},
        "hovermode": "closest",
    }  # fmt: skip
