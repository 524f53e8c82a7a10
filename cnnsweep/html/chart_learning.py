"""Learning curves: the mean of each setting over the epochs, with a band over its seeds."""

from collections.abc import Sequence
from typing import Any

from cnnsweep.analysis.axes import has_replicates
from cnnsweep.analysis.configurations import Setting, setting_words
from cnnsweep.analysis.learning_curves import CurvePoint, learning_curve
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.ties import chance_words
from cnnsweep.formatting.numbers import UNKNOWN, figure_text
from cnnsweep.html.chart import Chart, Choice, DataTable, View
from cnnsweep.html.chart_style import (
    BANDS,
    DASHES,
    FAINT,
    LEGEND,
    SERIES,
    SYMBOLS,
    axis,
    epoch_axis,
    layout,
    tick_format,
)
from cnnsweep.html.markup import chart_text

MOST_FAINT = 150  # of the settings that are not among the best; more are a grey block
LONGEST_NAME = 44

Curves = list[tuple[Setting, list[CurvePoint]]]


def learning_chart(results: Results, settings: Sequence[Setting]) -> Chart | None:
    """Return accuracy and loss over the epochs, or None where no setting has two epochs."""
    prefix = "val_" if results.sweep.objective.metric.startswith("val_") else ""
    metrics = sorted((f"{prefix}accuracy", f"{prefix}loss"), key=lambda name: name != results.sweep.objective.metric)
    placed = [setting for setting in settings if setting.place is not None]
    best, others = placed[: len(SERIES)], _thinned(placed[len(SERIES) :])
    views: dict[str, View] = {}
    for metric in metrics:
        shown, faint = _curves(results, best, metric), _curves(results, others, metric)
        if any(len(points) > 1 for _, points in shown):
            views[str(len(views))] = _view(results, metric, shown, faint, len(placed))
    if not views:
        return None
    notes = []
    if len(placed) - len(best) > len(others):
        notes.append(
            f"Of {len(placed) - len(best):,} other settings every {_step(len(placed) - len(best))}th is drawn."
        )
    choices = [Choice("Figure", metrics)] if len(views) > 1 else []
    if not choices:
        return Chart("learning", "Learning curves", {"": next(iter(views.values()))}, notes=notes)
    return Chart("learning", "Learning curves", views, choices, "0", notes=notes)


def _step(count: int) -> int:
    return -(-count // MOST_FAINT)


def _thinned(settings: Sequence[Setting]) -> Sequence[Setting]:
    return settings[:: _step(len(settings))] if settings else settings


def _curves(results: Results, settings: Sequence[Setting], metric: str) -> Curves:
    return [(setting, points) for setting in settings if (points := learning_curve(results, setting, metric))]


def _view(results: Results, metric: str, shown: Curves, faint: Curves, placed: int) -> View:
    traces: list[dict[str, Any]] = [_faint_trace(faint)] if faint else []
    for number, (setting, points) in reversed(list(enumerate(shown))):  # the best is drawn last, on top
        traces += _traces(results, number, setting, points)
    words = setting_words(results, shown[0][0], ", ")
    last = shown[0][1][-1]
    band = "; the bands reach from the lowest to the highest run of a setting" if has_replicates(results) else ""
    rest = f", the best {len(shown)} of {placed:,} settings in colour" if placed > len(shown) else ""
    first = "The best" if chance_words(results) is None else "The first"
    sentence = (
        f"{metric} by epoch{rest}{band}. {first}, {words}, ends at {figure_text(metric, last.mean)} "
        f"after epoch {last.epoch}."
    )
    figure = {
        "data": traces,
        "layout": layout(
            epoch_axis(max(points[-1].epoch for _, points in (*shown, *faint))),
            axis(metric, tickformat=tick_format(metric)),
            legend={**LEGEND, "traceorder": "reversed"},
        ),
    }
    return View(sentence, figure, _table(results, metric, shown))


def _faint_trace(curves: Curves) -> dict[str, Any]:
    """Return all curves as one line with gaps, which plotly draws much faster than many lines."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for _, points in curves:
        xs += [*(point.epoch for point in points), None]
        ys += [*(point.mean for point in points), None]
    return {
        **{"type": "scatter", "mode": "lines", "x": xs, "y": ys, "name": "other settings"},
        **{"line": {"color": FAINT, "width": 1}, "hoverinfo": "skip"},
    }


def _traces(results: Results, number: int, setting: Setting, points: list[CurvePoint]) -> list[dict[str, Any]]:
    words = chart_text(setting_words(results, setting, " "), LONGEST_NAME)
    name = f"{setting.place} {words}"
    xs = [point.epoch for point in points]
    line = {
        **{"type": "scatter", "mode": "lines+markers", "x": xs, "y": [point.mean for point in points], "name": name},
        "line": {"color": SERIES[number], "width": 3 if number == 0 else 2, "dash": DASHES[number]},
        "marker": {"symbol": SYMBOLS[number], "size": 7},
        "legendgroup": str(number),
        "hoverinfo": "text",
        "text": [_hover(words, point) for point in points],
    }
    if all(point.runs < 2 for point in points):
        return [line]
    band = {
        **{"type": "scatter", "mode": "lines", "x": [*xs, *reversed(xs)], "fill": "toself", "name": name},
        "y": [*(point.low for point in points), *(point.high for point in reversed(points))],
        **{"fillcolor": BANDS[number], "line": {"width": 0}, "hoverinfo": "skip"},
        **{"legendgroup": str(number), "showlegend": False},
    }
    return [band, line]


def _hover(words: str, point: CurvePoint) -> str:
    spread = f", {point.low:.4g} to {point.high:.4g} over {point.runs} runs" if point.runs > 1 else ""
    return f"{words}<br>epoch {point.epoch}: {point.mean:.4g}{spread}"


def _table(results: Results, metric: str, shown: Curves) -> DataTable:
    epochs = sorted({point.epoch for _, points in shown for point in points})
    if len(epochs) > 12:  # enough to see the course
        epochs = sorted({epochs[round(part * (len(epochs) - 1) / 11)] for part in range(12)})
    rows = []
    for setting, points in shown:
        by_epoch = {point.epoch: point.mean for point in points}
        figures = [figure_text(metric, by_epoch[n]) if n in by_epoch else UNKNOWN for n in epochs]
        rows.append([f"{setting.place}  {setting_words(results, setting)}", *figures])
    return DataTable(["setting", *(f"epoch {epoch}" for epoch in epochs)], rows)
