"""The ranked table of settings with several runs each, and in words how sure the winner is."""

from collections import Counter
from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from cnnsweep.display.columns import Column, figure_column, setting_column
from cnnsweep.display.figures import UNKNOWN, align_points, count_text, duration_text, figure_text
from cnnsweep.display.live_table import BEST_STYLE, STATUS_STYLES
from cnnsweep.display.safe_text import safe_text
from cnnsweep.records import RunStatus
from cnnsweep.report.axes import setting_axes
from cnnsweep.report.ranking import DEFAULT_TOP, table_parts
from cnnsweep.report.results import FIGURES, Results
from cnnsweep.report.settings import Setting, fold_overlap, replicate_words, setting_words, sort_settings
from cnnsweep.report.statistics import Difference, difference, more_seeds

TIED_SHOWN = 3  # settings that are named as tied; the table marks all


def settings_table(
    results: Results, settings: Sequence[Setting], top: int | None, sort: str | None, width: int
) -> RenderableType:
    """Return the table of the first `top` settings (20 if None, all if 0), how sure the winner is, and a legend.

    Args:
        settings: as `group_settings` returns them.
        sort: a column of the runs to order by, instead of the sweep's metric.

    Raises:
        UsageError: there is no column `sort`.
    """
    ordered = sort_settings(results, settings, sort)
    shown = ordered[: (DEFAULT_TOP if top is None else top) or None]
    parts = table_parts(results, _columns(results, shown, settings), len(ordered) - len(shown), width)
    legend = "mean ± half its 95 % interval; sd: deviation of a run; ★ best mean"
    legend += ", ≈ statistically tied with it" if sum(setting.tied is True for setting in settings) > 1 else ""
    parts.append(Text(legend, "dim"))
    if any(setting.failed for setting in settings):
        parts.append(Text("Settings of which a run failed come last: the other seeds are a lucky choice.", "dim"))
    words = sure_words(results, settings)
    return Group(*parts, *([Text()] if words else []), *map(Text, words))


def _columns(results: Results, shown: Sequence[Setting], settings: Sequence[Setting]) -> list[Column]:
    objective, metric = results.sweep.objective, results.sweep.objective.metric
    styles = [_style(setting) for setting in shown]

    def texts(write: Callable[[Setting], str | None], align: bool = True) -> list[Text]:
        written = [write(setting) or UNKNOWN for setting in shown]
        return [Text(t, s) for t, s in zip(align_points(written) if align else written, styles, strict=True)]

    def half(setting: Setting) -> str | None:
        found = setting.estimate
        return None if found is None or found.half is None else f"± {figure_text(metric, found.half)}"

    def deviation(setting: Setting) -> str | None:
        found = setting.estimate
        return None if found is None or found.deviation is None else figure_text(metric, found.deviation)

    def ends(setting: Setting) -> str | None:
        values = sorted(setting.figures.values(), reverse=objective.mode == "min")
        return f"{figure_text(metric, values[0])}..{figure_text(metric, values[-1])}" if values else None

    axes = setting_axes(results)
    others = [m for m in FIGURES if m != metric and any(setting.mean(m) is not None for setting in settings)]
    names = [Text(safe_text(setting.runs[0].name), style) for setting, style in zip(shown, styles, strict=True)]
    means = [None if setting.estimate is None else setting.estimate.mean for setting in shown]
    return [
        Column("", [Text(_mark(setting), BEST_STYLE) for setting in shown], drop=0),
        Column("#", texts(lambda setting: str(setting.place or UNKNOWN)), drop=0),
        *(setting_column(axis, [setting.settings.get(axis) for setting in shown], styles, drop=4) for axis in axes),
        *([] if axes else [Column("run", names, drop=4, justify="left", narrowest=12)]),
        figure_column(metric, objective, means, styles),
        Column("95 %", texts(half), drop=3),
        Column("sd", texts(deviation), drop=8),
        Column("runs", texts(lambda setting: str(len(setting.figures))), drop=7),
        Column("worst..best", texts(ends, align=False), drop=9),
        *(figure_column(m, objective, [setting.mean(m) for setting in shown], styles) for m in others),
        Column("time", texts(lambda setting: duration_text(setting.run_duration), align=False), drop=20),
        *_status_column(shown),
    ]


def _mark(setting: Setting) -> str:
    return "★" if setting.place == 1 else "≈" if setting.tied else " "


def _style(setting: Setting) -> str:
    if setting.place == 1:
        return "green"
    return "dim" if setting.failed or setting.estimate is None else ""


def _status_column(shown: Sequence[Setting]) -> list[Column]:
    """Return how many runs ended otherwise than planned; no column where all finished."""
    counts = [Counter(run.status for run in setting.runs) for setting in shown]
    if all(set(count) <= {RunStatus.FINISHED} for count in counts):
        return []
    cells = []
    for count in counts:
        known = [status for status in RunStatus if count[status]]
        if len(known) == 1:
            cells.append(Text(known[0].value, STATUS_STYLES[known[0]]))
            continue
        rest = [status for status in known if status is not RunStatus.FINISHED]
        parts = [(f"{count[status]:,} {status.value}", STATUS_STYLES[status]) for status in rest]
        cells.append(Text(", ").join(Text(*part) for part in parts))
    return [Column("status", cells, drop=5, justify="left", narrowest=11)]


def sure_words(results: Results, settings: Sequence[Setting]) -> list[str]:
    """Return in words how far the best setting is ahead and how sure that is; nothing where there are no two."""
    known = [setting for setting in settings if setting.estimate is not None]
    judged = [setting for setting in known if setting.tied is not None]
    if len(known) < 2:
        return []
    best = known[0]
    if best.tied is None or len(judged) < 2:
        return ["How sure the best is cannot be told: that takes two settings with two seeds each, none failed."]
    second = judged[1] if judged[0] is best else judged[0]
    found = difference(best.figures, second.figures, fold_overlap(results))
    tied = [setting for setting in judged if setting.tied and setting is not best]
    words = f"{setting_words(results, best)} "
    if not tied:
        return [f"{words}is ahead of the second, {_ahead_words(results, best, second, found)}."]
    names = ", ".join(setting_words(results, setting) for setting in tied[:TIED_SHOWN])
    more = f" and {len(tied) - TIED_SHOWN:,} more" if len(tied) > TIED_SHOWN else ""
    lines = [f"{words}is statistically tied with {count_text(len(tied), 'other')}: {names}{more}."]
    lines.append(
        f"It is ahead of the second, {_ahead_words(results, best, second, found)}; "
        f"{_more_words(best, found, len(judged))}."
    )
    return lines


def _ahead_words(results: Results, best: Setting, second: Setting, found: Difference) -> str:
    objective = results.sweep.objective
    sign = 1 if objective.mode == "max" else -1
    words = f"{setting_words(results, second)}, by {figure_text(objective.metric, sign * found.mean)}"
    if found.low is None or found.high is None or found.sure is None:
        return words
    low, high = sorted((sign * found.low, sign * found.high))
    if found.pairs is None:
        basis = f"{len(best.figures):,} and {len(second.figures):,} runs, not in pairs"
    else:
        basis = f"{replicate_words(key for key in best.figures if key in second.figures)} in pairs"
    ends = [figure_text(objective.metric, value).replace("-", "−", 1) for value in (low, high)]
    interval = f"95 % interval {ends[0]} to {ends[1]}"
    return f"{words} ({interval}, {basis}): {_percent(found.sure if sign > 0 else 1 - found.sure)} sure"


def _percent(sure: float) -> str:
    if sure == 1:
        return "100 %"
    return "over 99.9 %" if sure > 0.999 else f"{sure * 100:.1f} %" if sure > 0.99 else f"{sure * 100:.0f} %"


def _more_words(best: Setting, found: Difference, judged: int) -> str:
    """Return how many more seeds would separate the first two, as far as anybody can tell."""
    count = len(best.figures) if found.pairs is None else found.pairs
    more = more_seeds(found, count)
    if more == 0:
        return f"too little for the best of {judged:,}, which chance had as many tries to raise"
    if more is None:
        return "no number of seeds that one could train would separate the first two"
    folds = len({fold for _, fold in best.figures if fold is not None}) or 1
    seeds = -(-more // folds)
    return f"about {count_text(seeds, 'more seed')} would separate the first two"
