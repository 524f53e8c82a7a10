"""The metric against what a setting costs, with the settings than which none is both better and cheaper."""

from collections.abc import Callable, Sequence
from typing import Any

from cnnsweep.analysis.configurations import Setting, setting_words
from cnnsweep.analysis.pareto import frontier, parameters, training_time
from cnnsweep.analysis.results import Results
from cnnsweep.formatting.numbers import count_text, duration_text, figure_text
from cnnsweep.html.chart import Chart, Choice, DataTable, View
from cnnsweep.html.chart_style import BEST, LINE, axis, layout, tick_format
from cnnsweep.html.markup import chart_text

LOG_SPAN = 30  # costs that span as much are drawn by their logarithm

Cost = Callable[[Setting], float | None]


def cost_chart(results: Results, settings: Sequence[Setting]) -> Chart | None:
    """Return the metric against training time and against the number of weights, each where it differs; or None."""
    views: dict[str, View] = {}
    options = []
    # One that was stopped in favour of others is not fast.
    whole = [setting for setting in settings if not setting.was_cut_short]
    for option, title, known, cost, write in (
        ("training time", "training time of a run (s)", whole, training_time, duration_text),
        ("parameters", "parameters of the model", settings, parameters, lambda count: f"{count:,.0f}"),
    ):
        view = _view(results, known, cost, title, write)
        if view is not None:
            views[str(len(views))] = view
            options.append(option)
    if not views:
        return None
    title = f"{results.sweep.objective.metric} against {options[0]}"
    if len(options) < 2:
        return Chart("cost", title, {"": views["0"]})
    return Chart("cost", f"{results.sweep.objective.metric} against cost", views, [Choice("Cost", options)], "0")


def _view(
    results: Results, settings: Sequence[Setting], cost: Cost, title: str, write: Callable[[float], str]
) -> View | None:
    objective = results.sweep.objective
    metric = objective.metric
    points = [
        (setting, setting.estimate.mean, value)
        for setting in settings
        if setting.estimate is not None and (value := cost(setting)) is not None
    ]
    costs = [value for _, _, value in points]
    if len(points) < 2 or min(costs) == max(costs):
        return None
    found = frontier(objective, settings, cost)
    efficient = {setting.configuration for setting, _ in found}
    others = [point for point in points if point[0].configuration not in efficient]
    best = [(setting, setting.estimate.mean, value) for setting, value in found if setting.estimate is not None]
    traces = [
        *([_trace(results, others, write, {"mode": "markers", "name": "other settings"}, LINE, 7)] if others else []),
        _trace(
            *(results, best, write),
            {"mode": "lines+markers", "name": "efficient", "line": {"color": BEST, "width": 2, "shape": "hv"}},
            *(BEST, 10),
        ),
    ]
    kind = "log" if min(costs) > 0 and max(costs) / min(costs) >= LOG_SPAN else "linear"
    figure = {
        "data": traces,
        "layout": layout(axis(title, type=kind), axis(metric, tickformat=tick_format(metric))),
    }
    rows = [[setting_words(results, setting), write(value), figure_text(metric, mean)] for setting, mean, value in best]
    of_all = f"{len(best):,} of {count_text(len(points), 'setting')}"
    counted = f"{of_all} is" if len(best) == 1 else f"{of_all} are"
    sentence = (
        f"{counted} efficient: no other is both better and cheaper. "
        f"The cheapest takes {write(best[0][2])} and reaches {metric} {figure_text(metric, best[0][1])}, the best "
        f"{write(best[-1][2])} for {figure_text(metric, best[-1][1])}."
        if best
        else f"{count_text(len(points), 'setting')} by their cost."
    )
    return View(sentence, figure, DataTable(["efficient setting", title, metric], rows))


def _trace(
    results: Results,
    points: Sequence[tuple[Setting, float, float]],
    write: Callable[[float], str],
    look: dict[str, Any],
    colour: str,
    size: int,
) -> dict[str, Any]:
    metric = results.sweep.objective.metric
    names = [chart_text(setting_words(results, setting, ", "), 160) for setting, _, _ in points]
    texts = [
        f"{name}<br>{metric} {figure_text(metric, mean)}, {write(value)}"
        for name, (_, mean, value) in zip(names, points, strict=True)
    ]
    return {
        **{"type": "scatter", "x": [value for _, _, value in points], "y": [mean for _, mean, _ in points]},
        **{"hoverinfo": "text", "text": texts, "marker": {"color": colour, "size": size}},
        **look,
    }
