"""The ranked table of settings with several runs each."""

from collections import Counter
from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from cnnsweep.analysis.axes import setting_axes
from cnnsweep.analysis.configurations import Setting, chosen_setting, sort_settings
from cnnsweep.analysis.intervals import interval_cells
from cnnsweep.analysis.learning_curves import learning_curve
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.significance import sure_words
from cnnsweep.analysis.ties import chance_words, equals_of_best, mark
from cnnsweep.formatting.columns import Column, figure_column, setting_column
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN, align_points, duration_text, figure_text
from cnnsweep.formatting.sparkline import curve_column
from cnnsweep.progress.live_table import BEST_STYLE, STATUS_STYLES
from cnnsweep.report.ranking import DEFAULT_TOP, longest, table_parts
from cnnsweep.types import RunStatus


def settings_table(
    results: Results, settings: Sequence[Setting], top: int | None, sort: str | None, width: int, brief: bool = False
) -> RenderableType:
    """Return the table of the first `top` settings (20 if None, all if 0), a legend, and how sure the winner is.

    Args:
        settings: as `group_settings` returns them.
        sort: a column of the runs to order by, instead of the sweep's metric.
        brief: leave out how sure the winner is.

    Raises:
        UsageError: there is no column `sort`.
    """
    ordered = sort_settings(results, settings, sort)
    shown = ordered[: (DEFAULT_TOP if top is None else top) or None]
    parts = table_parts(results, _columns(results, shown, settings), len(ordered) - len(shown), width)
    estimates = [setting.estimate for setting in shown]
    is_starred, equal = chance_words(results) is None, equals_of_best(results, settings)
    has_ends = any(".." in cell for cell in interval_cells(results.sweep.objective.metric, estimates))
    legend = "95 %: interval of the mean" if has_ends else "mean ± half its 95 % interval"
    legend += "; sd: of a run" + (f"; {tie_legend(settings, equal)}" if is_starred else "")
    parts.append(Text(legend, "dim"))
    if any(setting.failed for setting in settings):
        parts.append(Text("Settings of which a run failed come last: the other seeds are a lucky choice.", "dim"))
    words = [] if brief else sure_words(results, settings)
    return Group(*parts, *([Text()] if words else []), *map(Text, words))


def tie_legend(settings: Sequence[Setting], equal: Sequence[Setting]) -> str:
    """Return the meaning of the marks; where the best cannot be tested, they refer to the best that can."""
    tied = [setting for setting in settings if setting.tied]
    legend = "★ best mean" + (", = exactly the same" if equal else "")
    if any(setting.place == 1 for setting in tied):
        return legend + (", ≈ tied with it" if len(tied) > 1 + len(equal) else "")
    return legend + (", ≈ may be the best of those with several runs" if tied else "")


def _columns(results: Results, shown: Sequence[Setting], settings: Sequence[Setting]) -> list[Column]:
    objective, metric = results.sweep.objective, results.sweep.objective.metric
    is_starred, best = chance_words(results) is None, chosen_setting(results, settings)
    styles = [_style(setting, is_starred) for setting in shown]

    def texts(write: Callable[[Setting], str | None], align: bool = True) -> list[Text]:
        written = [write(setting) or UNKNOWN for setting in shown]
        return [Text(t, s) for t, s in zip(align_points(written) if align else written, styles, strict=True)]

    def deviation(setting: Setting) -> str | None:
        found = setting.estimate
        return None if found is None or found.deviation is None else figure_text(metric, found.deviation)

    def ends(setting: Setting) -> str | None:
        values = sorted(setting.figures.values(), reverse=objective.mode == "min")
        return f"{figure_text(metric, values[0])}..{figure_text(metric, values[-1])}" if values else None

    axes = setting_axes(results)
    others = [
        m for m in results.sweep.recorded if m != metric and any(setting.mean(m) is not None for setting in settings)
    ]
    names = [Text(safe_text(setting.runs[0].name), style) for setting, style in zip(shown, styles, strict=True)]
    means = [None if setting.estimate is None else setting.estimate.mean for setting in shown]
    written = align_points(interval_cells(metric, [setting.estimate for setting in shown]))
    interval = [Text(text, style) for text, style in zip(written, styles, strict=True)]
    return [
        Column("", [Text(mark(setting, best, is_starred), BEST_STYLE) for setting in shown], drop=0),
        Column("#", texts(lambda setting: str(setting.place or UNKNOWN)), drop=0),
        *(setting_column(axis, [setting.settings.get(axis) for setting in shown], styles, drop=4) for axis in axes),
        *([] if axes else [Column("run", names, drop=4, justify="left", narrowest=12)]),
        figure_column(metric, objective, means, styles),
        Column("95 %", interval, drop=3),
        Column("sd", texts(deviation), drop=8),
        Column("runs", texts(lambda setting: str(len(setting.figures))), drop=7),
        Column("worst..best", texts(ends, align=False), drop=9),
        *(figure_column(m, objective, [setting.mean(m) for setting in shown], styles) for m in others),
        *_curve_column(results, shown, styles),
        Column("time", texts(lambda setting: duration_text(setting.run_duration), align=False), drop=20),
        *_status_column(shown),
    ]


def _curve_column(results: Results, shown: Sequence[Setting], styles: Sequence[str]) -> list[Column]:
    metric = results.sweep.objective.metric
    curves = [[point.mean for point in learning_curve(results, setting, metric)] for setting in shown]
    return curve_column(curves, longest(run for setting in shown for run in setting.runs), styles)


def _style(setting: Setting, is_starred: bool) -> str:
    if setting.place == 1 and is_starred:
        return "green"
    return "dim" if setting.failed or setting.estimate is None else ""


def _status_column(shown: Sequence[Setting]) -> list[Column]:
    """Return the number of runs that ended otherwise than planned; no column where all finished."""
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
