"""The ranked table of trials with several runs each."""

from collections import Counter
from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from cnnsweep.analysis.axes import trial_axes
from cnnsweep.analysis.baseline import is_praised, mark_legend, trials_at_baseline
from cnnsweep.analysis.intervals import interval_cells
from cnnsweep.analysis.learning_curves import learning_curve
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.significance import significance_words
from cnnsweep.analysis.ties import equals_of_best, mark
from cnnsweep.analysis.trials import Trial, chosen_trial, sort_trials
from cnnsweep.formatting.columns import Column, metric_column, setting_column
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN, align_points, duration_text, metric_text
from cnnsweep.formatting.sparkline import curve_column
from cnnsweep.progress.live_table import BEST_STYLE, STATUS_STYLES
from cnnsweep.report.ranking import DEFAULT_TOP, longest, table_parts
from cnnsweep.types import RunStatus


def trials_table(
    results: Results, trials: Sequence[Trial], top: int | None, sort: str | None, width: int, brief: bool = False
) -> RenderableType:
    """Return the table of the first `top` trials (20 if None, all if 0), a legend, and the certainty of the best.

    Args:
        trials: as `group_trials` returns them.
        sort: a column of the runs to sort by, instead of the sweep's metric.
        brief: leave out the certainty of the best.

    Raises:
        UsageError: there is no column `sort`.
    """
    ordered = sort_trials(results, trials, sort)
    shown = ordered[: (DEFAULT_TOP if top is None else top) or None]
    parts = table_parts(results, _columns(results, shown, trials), len(ordered) - len(shown), width)
    estimates = [trial.estimate for trial in shown]
    is_starred, equal = is_praised(results, trials), equals_of_best(results, trials)
    has_ends = any(".." in cell for cell in interval_cells(results.sweep.objective.metric, estimates))
    legend = "95 %: interval of the mean" if has_ends else "mean ± half its 95 % interval"
    legend += "; sd: of a run" + (f"; {tie_legend(trials, equal)}" if is_starred else "")
    parts.append(Text(legend, "dim"))
    if trials_at_baseline(results, shown):
        parts.append(Text(mark_legend(results) or "", "dim"))
    if any(trial.failed for trial in trials):
        parts.append(Text("Trials with a failed run come last: their other seeds are a biased sample.", "dim"))
    words = [] if brief else significance_words(results, trials)
    return Group(*parts, *([Text()] if words else []), *map(Text, words))


def tie_legend(trials: Sequence[Trial], equal: Sequence[Trial]) -> str:
    """Return the meaning of the marks; if the best cannot be tested, they refer to the best that can."""
    tied = [trial for trial in trials if trial.tied]
    legend = "★ best mean" + (", = exactly the same" if equal else "")
    if any(trial.place == 1 for trial in tied):
        return legend + (", ≈ tied with it" if len(tied) > 1 + len(equal) else "")
    return legend + (", ≈ may be the best of those with several runs" if tied else "")


def _columns(results: Results, shown: Sequence[Trial], trials: Sequence[Trial]) -> list[Column]:
    objective, metric = results.sweep.objective, results.sweep.objective.metric
    is_starred, best = is_praised(results, trials), chosen_trial(results, trials)
    at_baseline = trials_at_baseline(results, shown)
    marks = [mark(trial, best, is_starred, trial.trial_id in at_baseline) for trial in shown]
    styles = [_style(trial, is_starred) for trial in shown]

    def texts(write: Callable[[Trial], str | None], align: bool = True) -> list[Text]:
        written = [write(trial) or UNKNOWN for trial in shown]
        return [Text(t, s) for t, s in zip(align_points(written) if align else written, styles, strict=True)]

    def deviation(trial: Trial) -> str | None:
        found = trial.estimate
        return None if found is None or found.deviation is None else metric_text(metric, found.deviation)

    def ends(trial: Trial) -> str | None:
        values = sorted(trial.figures.values(), reverse=objective.mode == "min")
        return f"{metric_text(metric, values[0])}..{metric_text(metric, values[-1])}" if values else None

    axes = trial_axes(results)
    others = [m for m in results.sweep.recorded if m != metric and any(trial.mean(m) is not None for trial in trials)]
    names = [Text(safe_text(trial.runs[0].name), style) for trial, style in zip(shown, styles, strict=True)]
    means = [None if trial.estimate is None else trial.estimate.mean for trial in shown]
    written = align_points(interval_cells(metric, [trial.estimate for trial in shown]))
    interval = [Text(text, style) for text, style in zip(written, styles, strict=True)]
    return [
        Column("", [Text(one, BEST_STYLE) for one in marks], drop=0),
        Column("#", texts(lambda trial: str(trial.place or UNKNOWN)), drop=0),
        *(setting_column(axis, [trial.params.get(axis) for trial in shown], styles, drop=4) for axis in axes),
        *([] if axes else [Column("run", names, drop=4, justify="left", narrowest=12)]),
        metric_column(metric, objective, means, styles),
        Column("95 %", interval, drop=3),
        Column("sd", texts(deviation), drop=8),
        Column("runs", texts(lambda trial: str(len(trial.figures))), drop=7),
        Column("worst..best", texts(ends, align=False), drop=9),
        *(metric_column(m, objective, [trial.mean(m) for trial in shown], styles) for m in others),
        *_curve_column(results, shown, styles),
        Column("time", texts(lambda trial: duration_text(trial.run_duration), align=False), drop=20),
        *_status_column(shown),
    ]


def _curve_column(results: Results, shown: Sequence[Trial], styles: Sequence[str]) -> list[Column]:
    metric = results.sweep.objective.metric
    curves = [[point.mean for point in learning_curve(results, trial, metric)] for trial in shown]
    return curve_column(curves, longest(run for trial in shown for run in trial.runs), styles)


def _style(trial: Trial, is_starred: bool) -> str:
    if trial.place == 1 and is_starred:
        return "green"
    return "dim" if trial.failed or trial.estimate is None else ""


def _status_column(shown: Sequence[Trial]) -> list[Column]:
    """Return the number of runs that did not finish; no column if all finished."""
    counts = [Counter(run.status for run in trial.runs) for trial in shown]
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
