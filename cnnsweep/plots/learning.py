"""Learning curves of the best settings, with a band over their seeds and folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnsweep.analysis.configurations import Setting, setting_words
from cnnsweep.analysis.learning_curves import CurvePoint, learning_curve
from cnnsweep.analysis.results import Results
from cnnsweep.plots.style import (
    COLOURS,
    DASHES,
    MARKERS,
    Drawing,
    Format,
    grid,
    in_unit,
    metric_label,
    use_whole_ticks,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKS = 10  # on a line, at most


def learning_curves(results: Results, settings: Sequence[Setting]) -> Drawing | None:
    """Return the deciding figure over the epochs, or None where no setting has two epochs."""
    metric = results.sweep.objective.metric
    best = [setting for setting in settings if setting.place is not None][: len(COLOURS)]
    curves = [(setting, points) for setting in best if (points := learning_curve(results, setting, metric))]
    if all(len(points) < 2 for _, points in curves):
        return None
    has_bands = any(point.runs > 1 for _, points in curves for point in points)

    def draw(figure: Figure, form: Format) -> None:
        axes = figure.add_subplot()
        # The best is drawn last, on top.
        for number, (setting, points) in reversed(list(enumerate(curves))):
            xs = [point.epoch for point in points]
            label = form.cut(f"{setting.place}  {setting_words(results, setting, ', ')}")
            if has_bands:
                low, high = _ends(metric, points)
                axes.fill_between(xs, low, high, color=COLOURS[number], alpha=0.18, linewidth=0)
            axes.plot(
                xs,
                [in_unit(metric, point.mean) for point in points],
                color=COLOURS[number],
                linestyle=DASHES[number],
                marker=MARKERS[number],
                markevery=max(-(-len(xs) // _MARKS), 1),
                label=label,
            )
        axes.set_xlabel("epoch")
        axes.set_ylabel(metric_label(metric))
        use_whole_ticks(axes)
        grid(axes, "y")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside lower left", handlelength=3.2, labelspacing=0.3)

    band = "; bands reach from the lowest to the highest run of a setting" if has_bands else ""
    count = f"the best {len(curves)} of {len(settings):,} settings" if len(curves) > 1 else "the best setting"
    caption = f"{metric_label(metric).capitalize()} after each epoch, {count}{band}."
    return Drawing("learning_curves", caption, draw, rows=len(curves))


def _ends(metric: str, points: Sequence[CurvePoint]) -> tuple[list[float], list[float]]:
    return [in_unit(metric, point.low) for point in points], [in_unit(metric, point.high) for point in points]
