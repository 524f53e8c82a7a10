"""Single lines about a run or a sweep, the same in the live display, in plain logs and in quiet mode."""

from cnnsweep.analysis.baseline import no_better_words
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import (
    count_text,
    duration_text,
    epochs_text,
    estimate_text,
    metric_text,
    short_name,
    trials_text,
)
from cnnsweep.metrics.names import STANDARD
from cnnsweep.metrics.objective import BEST, LAST
from cnnsweep.progress.state import FAILURES, RunProgress, SweepProgress
from cnnsweep.types import EpochRecord, RunOutcome, RunStatus, end_words


def run_words(progress: SweepProgress, row: RunProgress) -> str:
    """Return `run 2/8 lr=0.01 batch_size=100`."""
    params = trials_text(row.run.params, progress.overview.columns)
    return f"run {row.number}/{progress.size} {params}".rstrip()


def runs_words(progress: SweepProgress) -> str:
    """Return `8 runs`, or `12 of 40 runs` while a search has not suggested all of them."""
    known = f"{len(progress.runs):,} of " if progress.runs_to_come else ""
    return known + count_text(progress.size, "run")


def failure_line(progress: SweepProgress, row: RunProgress, outcome: RunOutcome) -> str:
    """Return one line with a run's parameters, its failure and the cause."""
    cause = f": {safe_text(outcome.cause)}" if outcome.cause else ""
    return f"{run_words(progress, row)}  {end_words(outcome.status, outcome.failure)}{cause}"


def epoch_line(progress: SweepProgress, record: EpochRecord) -> str:
    """Return one line with the loss, the accuracy and the deciding metric of an epoch.

    It ends in `best` if by this epoch the run leads the sweep.
    """
    row = progress.runs[record.run_id]
    digits = len(str(progress.epochs_total))
    metrics = [
        f"{short_name(metric).replace(' ', '_')} {metric_text(metric, value)}"
        for metric in dict.fromkeys([*STANDARD, progress.overview.objective.metric])
        if (value := record[metric]) is not None
    ]
    parts = [
        f"[{progress.epochs_done:>{digits}}/{progress.epochs_total}] {run_words(progress, row)}",
        f"epoch {epochs_text(record.epoch, row.run.epochs)}",
        *metrics,
        duration_text(record.epoch_duration),
    ]
    if row.selected is not None and row.selected.epoch == record.epoch and row is progress.best:
        parts.append("tied for best" if progress.is_tied else "best")
    return "  ".join(parts)


def end_line(progress: SweepProgress, row: RunProgress, outcome: RunOutcome) -> str:
    """Return one line with a run's end, its selected metric, the cause, and the time left of the sweep."""
    if outcome.status in FAILURES:
        line = failure_line(progress, row, outcome)
    else:
        took = f" in {duration_text(row.latest.run_duration)}" if row.latest else ""
        cause = f": {safe_text(outcome.cause)}" if outcome.cause else ""
        if outcome.status is RunStatus.STOPPED and cause.startswith(": epoch "):
            cause = f"; after {cause[2:]}"  # else the epoch would stand beside that of the metric
        selected = f", {selected_words(progress, row.selected)}" if row.selected else ""
        # The cause last: it may hold numbers and commas of its own.
        line = f"{run_words(progress, row)}  {outcome.status.value}{took}{selected}{_baseline(progress, row)}{cause}"
    left = progress.seconds_left()
    if progress.epochs_left and left is not None:
        line += f"  (about {estimate_text(left)} left)"
    return line


def _baseline(progress: SweepProgress, row: RunProgress) -> str:
    baseline = progress.overview.baseline
    if baseline is None or not progress.is_at_baseline(row):
        return ""
    return f", {no_better_words(baseline)}"


def selected_words(progress: SweepProgress, selected: EpochRecord) -> str:
    """Return the selected metric of a run, worded by the scope: `best val_accuracy 0.8460 in epoch 1`."""
    objective = progress.overview.objective
    value = f"{objective.metric} {metric_text(objective.metric, objective.value(selected))}"
    if objective.scope in (BEST, LAST):
        return f"{objective.scope} {value} in epoch {selected.epoch}"
    return f"{value} ({objective.scope})"


def start_line(progress: SweepProgress) -> str:
    """Return the sweep's size, device and folder, and the epochs of earlier commands."""
    overview = progress.overview
    size = runs_words(progress)
    if progress.runs:  # without any, the epochs of a run are not known
        size += f", {'about ' if progress.runs_to_come else ''}{count_text(progress.epochs_total, 'epoch')}"
    line = f"sweep {safe_text(overview.name)}: {size}, on {safe_text(overview.device)}, in {safe_text(overview.folder)}"
    if progress.epochs_done:
        line += f"; {count_text(progress.epochs_done, 'epoch')} done before"
    return line


def summary_line(progress: SweepProgress) -> str:
    """Return the runs by status and the time of all commands: `7 finished, 1 diverged, in 3 m 12 s`."""
    counts = [f"{progress.counts[status]:,} {status.value}" for status in RunStatus if progress.counts[status]]
    if progress.runs_to_come:
        counts.append(f"{progress.runs_to_come:,} to come")
    elapsed = duration_text(progress.elapsed)
    return f"sweep {safe_text(progress.overview.name)}: {', '.join(counts) or 'no runs'}, in {elapsed}"
