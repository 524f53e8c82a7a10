"""What a setting reaches against the time that it trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnsweep.analysis.configurations import Setting
from cnnsweep.analysis.pareto import frontier, training_time
from cnnsweep.analysis.results import Results
from cnnsweep.plots.style import BEST, COLOURS, OTHERS, Drawing, Format, grid, in_unit, metric_label, time_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOG_SPAN = 20  # times that span as much have a logarithmic axis

Points = list[tuple[float, float]]


def time_figure(results: Results, settings: Sequence[Setting]) -> Drawing | None:
    """Return a mark a setting and the line of those than which none is better and faster; None below two settings."""
    metric = results.sweep.objective.metric
    known = [s for s in settings if s.estimate is not None and training_time(s) is not None and not s.failed]
    if len(known) < 2:
        return None
    whole, short = [s for s in known if not s.was_cut_short], [s for s in known if s.was_cut_short]
    unit, seconds = time_unit(max(training_time(setting) or 0.0 for setting in known))

    def points(some: Sequence[Setting]) -> Points:
        return [
            (time / seconds, in_unit(metric, setting.estimate.mean))
            for setting in some
            if (time := training_time(setting)) is not None and setting.estimate is not None
        ]

    efficient = points([setting for setting, _ in frontier(results.sweep.objective, whole, training_time)])
    kinds: list[tuple[str, Points, str, str, str]] = [
        ("stopped early", points(short), "x", OTHERS, OTHERS),
        ("setting", points(whole), "o", OTHERS, "white"),
    ]

    def draw(figure: Figure, form: Format) -> None:
        axes = figure.add_subplot()
        for label, marks, marker, colour, fill in kinds:
            if marks:
                xs, ys = zip(*marks, strict=True)
                axes.plot(xs, ys, marker, color=colour, markerfacecolor=fill, label=label, markersize=form.line * 2.4)
        if efficient:
            xs, ys = zip(*efficient, strict=True)
            axes.plot(xs, ys, "-", drawstyle="steps-post", color=BEST, linewidth=form.line * 0.8)
            axes.plot(xs, ys, "D", color=BEST, label="none better and faster")
            axes.plot(xs[-1], ys[-1], "*", color=COLOURS[1], markersize=form.line * 6, label="best")
        times = [x for _, marks, *_ in kinds for x, _ in marks]
        if max(times) > _LOG_SPAN * min(times) > 0:
            axes.set_xscale("log")
        axes.set_xlabel(f"training time of a run ({unit})")
        axes.set_ylabel(metric_label(metric))
        grid(axes, "both")
        figure.legend(loc="outside lower center", ncols=2, handletextpad=0.3, columnspacing=1.2)

    caption = (
        f"{metric_label(metric).capitalize()} of each setting against the training time of a run; of runs that train "
        "together, each one's share."
    )
    return Drawing("accuracy_against_time" if metric.endswith("accuracy") else "loss_against_time", caption, draw, 2)
