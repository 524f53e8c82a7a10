"""Early stopping over the epochs: how many settings still train, and against which figure the others fell out."""

from collections.abc import Sequence

from cnnsweep.analysis.configurations import Setting, setting_words
from cnnsweep.analysis.results import Results, Stop
from cnnsweep.formatting.numbers import UNKNOWN, count_text, figure_text, figure_texts
from cnnsweep.html.chart import Chart, DataTable, View, single
from cnnsweep.html.chart_style import BEST, PLAIN, count_axis, epoch_axis, layout
from cnnsweep.html.markup import chart_text
from cnnsweep.report.stopping import rule_words, saving_words

NAMED = 5  # settings that the text beside a bar names


def stopping_chart(results: Results, settings: Sequence[Setting]) -> Chart | None:
    """Return how many settings trained in each epoch and how many stopped after it; None where none was stopped."""
    ends = [(setting, _last_epoch(setting), _stop(setting)) for setting in settings]
    stops: dict[int, list[tuple[Setting, Stop]]] = {}
    for setting, _, stop in ends:
        if stop is not None:
            stops.setdefault(stop.epoch, []).append((setting, stop))
    if not stops:
        return None
    metric = results.sweep.objective.metric
    epochs = list(range(1, max(epoch for _, epoch, _ in ends) + 1))
    stopped = [len(stops.get(epoch, ())) for epoch in epochs]
    training = [sum(last >= epoch for _, last, _ in ends) for epoch in epochs]
    on = [count - ended for count, ended in zip(training, stopped, strict=True)]
    hovers = [_hover(results, epoch, stops.get(epoch, ())) for epoch in epochs]
    going_on = [f"epoch {epoch}: {count:,} go on" for epoch, count in zip(epochs, on, strict=True)]
    figure = {
        "data": [
            {
                **{"type": "bar", "x": epochs, "y": on, "name": "go on", "marker": {"color": PLAIN}},
                **{"hoverinfo": "text", "hovertext": going_on, "textposition": "none"},
            },
            {
                **{"type": "bar", "x": epochs, "y": stopped, "name": "stopped after this epoch"},
                "marker": {"color": BEST, "pattern": {"shape": "/"}},
                **{"hoverinfo": "text", "hovertext": hovers, "textposition": "none"},
            },
        ],
        "layout": layout(
            epoch_axis(len(epochs)),
            count_axis("settings that train", max(training)),
            barmode="stack",
            bargap=0.15 if len(epochs) < 100 else 0,
        ),
    }
    rule = rule_words(results.sweep.early_stop).strip()
    count = count_text(sum(stopped), "setting")
    sentence = f"{count} of {len(settings):,} stopped early{f' by {rule}' if rule else ''}: {saving_words(results)}."
    rows = [
        [f"after epoch {epoch}", f"{len(part):,}", f"{on[epoch - 1]:,}", _thresholds(metric, part)]
        for epoch, part in sorted(stops.items())
    ]
    table = DataTable(["when", "stopped", "went on", f"{metric} needed"], rows)
    return single("stopping", "Early stopping", View(sentence, figure, table))


def _stop(setting: Setting) -> Stop | None:
    """Return why a setting was stopped: its runs are judged together, so they stop for one reason."""
    return next((run.stop for run in setting.runs if run.stop), None)


def _last_epoch(setting: Setting) -> int:
    return max(run.epochs_done for run in setting.runs)


def _thresholds(metric: str, part: Sequence[tuple[Setting, Stop]]) -> str:
    known = sorted(stop.threshold for _, stop in part if stop.threshold is not None)
    if not known:
        return UNKNOWN
    low, high = figure_text(metric, known[0]), figure_text(metric, known[-1])
    return low if low == high else f"{low} to {high}"


def _hover(results: Results, epoch: int, part: Sequence[tuple[Setting, Stop]]) -> str:
    lines = [f"after epoch {epoch}: {len(part):,} stopped"]
    metric = results.sweep.objective.metric
    for setting, stop in part[:NAMED]:
        words = chart_text(setting_words(results, setting, ", "), 60)
        value, threshold = figure_texts(metric, [stop.value, stop.threshold])
        needed = "as others that went on" if stop.value == stop.threshold else f"needed {threshold}"
        lines.append(f"{words}: {value}, {needed}")
    return "<br>".join([*lines, *([f"… and {len(part) - NAMED:,} more"] if len(part) > NAMED else [])])
