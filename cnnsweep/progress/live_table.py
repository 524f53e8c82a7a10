"""Content of the live display: the table of runs and the progress lines, fitted to the terminal."""

from collections.abc import Sequence

from rich.console import Group
from rich.text import Text

from cnnsweep.analysis.baseline import AT_BASELINE, legend_of, value_words
from cnnsweep.formatting.columns import Column, build_table, metric_column, setting_column
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import (
    UNKNOWN,
    bar_text,
    duration_text,
    epochs_text,
    estimate_text,
)
from cnnsweep.formatting.sparkline import curve_column
from cnnsweep.metrics.names import LOSS, STANDARD, is_on_validation, on_validation
from cnnsweep.progress.lines import runs_words
from cnnsweep.progress.state import FAILURES, RunProgress, SweepProgress
from cnnsweep.types import RunStatus, end_words

STATUS_STYLES = {
    RunStatus.WAITING: "dim",
    RunStatus.RUNNING: "cyan",
    RunStatus.FINISHED: "",
    RunStatus.STOPPED: "",
    RunStatus.DIVERGED: "red",
    RunStatus.FAILED: "red",
    RunStatus.INTERRUPTED: "magenta",
}
SIGNS = {RunStatus.RUNNING: "▸", RunStatus.DIVERGED: "✗", RunStatus.FAILED: "✗"}
BEST_STYLE = "bold green"
WIDEST_BARS = 100
LINES_AROUND = 9  # title, header and its rule, counts, two bars, two empty lines, and one to spare
BEST_SHOWN = 3
FAILURES_SHOWN = 3


def picture(progress: SweepProgress, width: int, height: int) -> Group:
    """Return everything but the lines that change with every frame, see `progress_lines`."""
    footer = baseline_line(progress)
    blocks = choose_rows(progress, max(height - LINES_AROUND - len(footer), 1))
    table = runs_table(progress, blocks, width)
    return Group(title_line(progress), "", table, "", *footer, counts_line(progress, blocks))


def choose_rows(progress: SweepProgress, room: int) -> list[list[RunProgress]]:
    """Return the runs to show, in blocks, at most `room` lines with an empty one between two blocks.

    Where all runs fit there is one block of them all; otherwise the best few, the runs that train now and the most
    recent failures; those that train get the rest of the room.
    """
    if len(progress.runs) <= room:
        return [list(progress.runs.values())]
    # A run that trains is shown once, among the best if it is one of them.
    best = progress.leaders[: min(BEST_SHOWN, max(room // 3, 1))]
    failures = progress.failures[-FAILURES_SHOWN:] if room >= 10 else []
    left = room - len(best) - len(failures) - bool(best) - bool(failures)
    active = [row for row in progress.active.values() if row not in best][: max(left, 0)]
    return [block for block in (best, active, failures) if block]


def runs_table(progress: SweepProgress, blocks: Sequence[Sequence[RunProgress]], width: int) -> Text:
    """Return the table of the given runs, with the columns that `width` has room for."""
    rows = [row for block in blocks for row in block]
    ends, position = [], -1
    for block in blocks[:-1]:
        position += len(block)
        ends.append(position)
    columns = [
        Column("", [_sign(progress, row) for row in rows], drop=0),
        Column("run", [Text(str(row.number), _row_style(progress, row)) for row in rows], drop=0),
        _status_column(rows),
        *_trial_columns(progress, rows),
        Column("epoch", [Text(epochs_text(row.epochs_done, row.run.epochs)) for row in rows], drop=1),
        *_figure_columns(progress, rows),
        *_curve_column(progress, rows),
        Column("time", [_time_cell(row) for row in rows], drop=20),
    ]
    return build_table(columns, width, ends)


def _sign(progress: SweepProgress, row: RunProgress) -> Text:
    """Return the mark of a row, for terminals without colours or room for the status."""
    if row is progress.best:
        return Text("★", BEST_STYLE)
    if row.status in (RunStatus.FINISHED, RunStatus.STOPPED) and progress.is_at_baseline(row):
        return Text(AT_BASELINE, "magenta")
    return Text(SIGNS.get(row.status, " "), STATUS_STYLES[row.status])


def _curve_column(progress: SweepProgress, rows: Sequence[RunProgress]) -> list[Column]:
    epochs = max((row.run.epochs for row in rows), default=0)
    styles = ["green" if row is progress.best else "red" if row.status in FAILURES else "" for row in rows]
    metric = progress.overview.objective.metric
    return curve_column([[record[metric] for record in row.records] for row in rows], epochs, styles)


def _status_column(rows: Sequence[RunProgress]) -> Column:
    cells = [Text(end_words(row.status, row.failure), STATUS_STYLES[row.status]) for row in rows]
    narrowest = max((len(row.status.value) for row in rows), default=0) + 1  # the kind of a failure may be cut
    return Column("status", cells, drop=5, justify="left", narrowest=narrowest)


def _row_style(progress: SweepProgress, row: RunProgress) -> str:
    return BEST_STYLE if row is progress.best else STATUS_STYLES[row.status]


def _trial_columns(progress: SweepProgress, rows: Sequence[RunProgress]) -> list[Column]:
    styles = ["dim" if row.status is RunStatus.WAITING else "" for row in rows]
    return [
        setting_column(name, [row.run.params.get(name, UNKNOWN) for row in rows], styles, drop=3)
        for name in progress.overview.columns
    ]


def _figure_columns(progress: SweepProgress, rows: Sequence[RunProgress]) -> list[Column]:
    objective = progress.overview.objective
    shown = [{} if row.shown is None else row.shown.metrics for row in rows]
    is_validated = is_on_validation(objective.metric) or any(values.get(on_validation(LOSS)) for values in shown)
    recorded = dict.fromkeys([*STANDARD, *(name for values in shown for name in values), objective.metric])
    metrics = [name for name in recorded if is_validated or not is_on_validation(name)]
    styles = ["green" if row is progress.best else "" for row in rows]
    return [metric_column(metric, objective, [values.get(metric) for values in shown], styles) for metric in metrics]


def _time_cell(row: RunProgress) -> Text:
    return Text(duration_text(row.latest.run_duration) if row.latest else "", "dim")


def title_line(progress: SweepProgress) -> Text:
    """Return the sweep's name, size, device and folder."""
    overview = progress.overview
    facts = [runs_words(progress), safe_text(overview.device), safe_text(overview.folder)]
    return Text.assemble((safe_text(overview.name), "bold"), (f"  {' · '.join(facts)}", "dim"), no_wrap=True)


def counts_line(progress: SweepProgress, blocks: Sequence[Sequence[RunProgress]]) -> Text:
    """Return the hidden runs by status, `+ 963 waiting, 30 finished`; all runs if none is hidden."""
    counts = progress.counts.copy()
    shown = [row for block in blocks for row in block]
    is_partial = len(shown) < len(progress.runs)
    if is_partial:
        for row in shown:
            counts[row.status] -= 1
    parts: list[tuple[str, str]] = []
    for status in RunStatus:
        if counts[status]:
            parts += [(", ", "dim"), (f"{counts[status]:,} {status.value}", STATUS_STYLES[status] or "dim")]
    if progress.runs_to_come:
        parts += [(", ", "dim"), (f"{progress.runs_to_come:,} to come", "dim")]
    return Text.assemble(("+ " if is_partial else "", "dim"), *parts[1:], no_wrap=True, overflow="ellipsis")


def baseline_line(progress: SweepProgress) -> list[Text]:
    """Return the value that a constant answer reaches, and the mark of runs that are no better; nothing if unknown."""
    baseline = progress.overview.baseline
    if baseline is None:
        return []
    has_marks = any(progress.is_at_baseline(row) and row.status.is_final for row in progress.runs.values())
    words = legend_of(baseline) if has_marks else f"{baseline.words}: {value_words(baseline)}"
    return [Text(words, "magenta" if has_marks else "dim", no_wrap=True, overflow="ellipsis")]


def progress_lines(progress: SweepProgress, width: int) -> list[Text]:
    """Return the bar of the epoch in progress and the bar of the whole sweep, with the time left.

    For a sweep of another process, a line on that process takes the place of the epoch.
    """
    widest_state = max(width - 32, 20)  # leaves a bar of some length
    left = estimate_text(progress.seconds_left())
    done, total = progress.epochs_done, progress.epochs_total
    # Without any epochs there is nothing to do, or a search has not suggested its first trial yet.
    is_unknown = not total and progress.runs_to_come > 0
    of = UNKNOWN if is_unknown else f"{total:,}"
    epochs = "epoch" if total == 1 and not is_unknown else "epochs"
    begun = sum(row.share for row in progress.active.values())
    elapsed = duration_text(progress.elapsed)
    is_through = not is_unknown and done == total and not progress.active
    sweep_state = _longest_that_fits(
        (f"{done:,} of {of} {epochs} in {elapsed}", f"{done:,} {epochs}")
        if is_through
        else (
            f"{done:,} of {of} {epochs}, {elapsed} so far, {left} left",
            f"{done:,}/{of} {epochs}, {left} left",
            f"{left} left",
        ),
        widest_state,
    )
    sweep_share = (done + begun) / total if total else 0.0 if is_unknown else 1.0
    under_way = progress.overview.under_way
    if under_way is not None:
        source = Text(under_way.source(), "dim", no_wrap=True, overflow="ellipsis")
        return [source, _bar_line("sweep", sweep_share, sweep_state, len(sweep_state), width)]
    epoch_state = _epoch_state(progress, widest_state)
    state_width = max(len(sweep_state), len(epoch_state))
    epoch_share = begun / len(progress.active) if progress.active else 0.0
    return [
        _bar_line("epoch", epoch_share, epoch_state, state_width, width),
        _bar_line("sweep", sweep_share, sweep_state, state_width, width),
    ]


def _epoch_state(progress: SweepProgress, widest: int) -> str:
    """Return the progress of the active runs, in words."""
    if not progress.active:
        return UNKNOWN
    training = next(iter(progress.active.values()))
    runs = f"run {training.number}" if len(progress.active) == 1 else f"{len(progress.active)} runs"
    latest = progress.batches
    if latest is None or len(latest.run_ids) != len(progress.active):
        return f"{runs} side by side" if len(progress.active) > 1 else runs
    rows = [progress.runs[run_id] for run_id in latest.run_ids]
    epochs = max(row.run.epochs for row in rows)
    farthest = max(row.epochs_done for row in rows) + 1  # in a search, older runs train beside new ones
    at = f"epoch {latest.epoch}" if farthest <= latest.epoch else f"epochs {latest.epoch} to {farthest}"
    where = f"{runs}, {at}/{epochs}"
    return _longest_that_fits((f"{where}, batch {latest.done:,} of {latest.total:,}", where, runs), widest)


def _longest_that_fits(wordings: Sequence[str], width: int) -> str:
    return next((wording for wording in wordings if len(wording) <= width), wordings[-1])


def _bar_line(label: str, share: float, state: str, state_width: int, width: int) -> Text:
    length = max(min(width, WIDEST_BARS) - state_width - len(label) - 9, 4)
    bar = bar_text(share, length)
    line = Text.assemble(
        (f"{label} ", "dim"),
        (bar, "green" if share >= 1 else "cyan"),
        ("·" * (length - len(bar)), "dim"),
        f" {share:4.0%}  ",
        (state, "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )
    line.truncate(width, overflow="ellipsis")
    return line
