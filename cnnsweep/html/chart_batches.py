"""The loss of every batch, of the best run and those after it."""

from collections.abc import Sequence

from cnnsweep.analysis.configurations import Setting, best_of, setting_words
from cnnsweep.analysis.results import Results
from cnnsweep.errors import ResultsError
from cnnsweep.formatting.numbers import count_text, figure_text
from cnnsweep.html.chart import Chart, Choice, DataTable, View
from cnnsweep.html.chart_style import BEST, axis, count_axis, layout
from cnnsweep.report.trial import load_batch_losses, smooth_losses
from cnnsweep.storage.paths import SweepPaths

SETTINGS_SHOWN = 5
MOST_POINTS = 600  # of a curve
LOG_SPAN = 30  # losses that span as much are drawn by their logarithm
ROWS = 12


def batches_chart(results: Results, settings: Sequence[Setting]) -> tuple[Chart | None, list[str]]:
    """Return the batch losses of the best run of each of the best settings, or None; and files that are damaged."""
    views: dict[str, View] = {}
    options, problems = [], []
    for setting in [setting for setting in settings if setting.place is not None][:SETTINGS_SHOWN]:
        run = best_of(results, setting)
        try:
            losses = load_batch_losses(SweepPaths(results.folder).run(run.name).batch_losses)
        except ResultsError as error:
            problems.append(str(error))
            continue
        view = _view(setting_words(results, setting, ", "), losses)
        if view is not None:
            views[str(len(views))] = view
            options.append(f"{setting.place}  {setting_words(results, setting)}")
    if len(views) > 1:
        return Chart("batches", "Loss of every batch", views, [Choice("Setting", options)], "0"), problems
    return (Chart("batches", "Loss of every batch", {"": views["0"]}) if views else None), problems


def _view(words: str, losses: Sequence[float]) -> View | None:
    size, points = smooth_losses(losses, MOST_POINTS)
    if len(points) < 2:
        return None
    xs, ys = zip(*points, strict=True)
    curve = {
        **{"type": "scatter", "mode": "lines", "x": xs, "y": ys, "line": {"color": BEST, "width": 1.5}},
        **{"hovertemplate": "batch %{x:,.0f}: loss %{y:.4g}<extra></extra>"},
    }
    kind = "log" if min(ys) > 0 and max(ys) / min(ys) > LOG_SPAN else "linear"
    figure = {
        "data": [curve],
        "layout": layout(count_axis("batch", len(losses)), axis("loss", type=kind), showlegend=False),
    }
    means = f", each point the mean of {size:,} batches" if size > 1 else ""
    batches = count_text(len(losses), "batch", "batches")
    ends = f"from {figure_text('loss', ys[0])} to {figure_text('loss', ys[-1])}"
    sentence = f"Training loss over {batches} of {words}{means}: {ends}."
    picked = sorted({round(part * (len(points) - 1) / (ROWS - 1)) for part in range(ROWS)})
    rows = [[f"{points[n][0]:,.0f}", figure_text("loss", points[n][1])] for n in picked]
    return View(sentence, figure, DataTable(["batch", "loss"], rows))
