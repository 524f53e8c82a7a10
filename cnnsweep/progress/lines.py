"""Single lines about a run or a sweep, worded alike in the live display, in plain logs and in quiet mode."""

from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text, duration_text, estimate_text, metric_text, trials_text
from cnnsweep.metrics.objective import BEST, LAST
from cnnsweep.progress.state import FAILURES, RunProgress, SweepProgress
from cnnsweep.types import EpochRecord, RunOutcome, RunStatus, end_words


def run_words(progress: SweepProgress, row: RunProgress) -> str:
    """Return `run 2/8 lr=0.01 batch_size=100`."""
    params = trials_text(row.run.params, progress.overview.columns)
    return f"run {row.number}/{progress.size} {params}".rstrip()


def runs_words(progress: SweepProgress) -> str:
    """Return `8 runs`, or `12 of 40 runs` while a search has not asked for all of them."""
    known = f"{len(progress.runs):,} of " if progress.runs_to_come else ""
    return known + count_text(progress.size, "run")


def failure_line(progress: SweepProgress, row: RunProgress, outcome: RunOutcome) -> str:
    """Return one line that says which run failed and why."""
    cause = f": {safe_text(outcome.cause)}" if outcome.cause else ""
    return f"{run_words(progress, row)}  {end_words(outcome.status, outcome.failure)}{cause}"


def end_line(progress: SweepProgress, row: RunProgress, outcome: RunOutcome) -> str:
    """Return one line on how a run ended, what stands for it, why, and the time the sweep still needs."""
    if outcome.status in FAILURES:
        line = failure_line(progress, row, outcome)
    else:
        took = f" in {duration_text(row.latest.run_duration)}" if row.latest else ""
        cause = f": {safe_text(outcome.cause)}" if outcome.cause else ""
        if outcome.status is RunStatus.STOPPED and cause.startswith(": epoch "):
            cause = f"; after {cause[2:]}"  # else the epoch would stand beside that of the figure
        selected = f", {selected_words(progress, row.selected)}" if row.selected else ""
        # The cause last: it may hold figures and commas of its own.
        line = f"{run_words(progress, row)}  {outcome.status.value}{took}{selected}{cause}"
    left = progress.seconds_left()
    if progress.epochs_left and left is not None:
        line += f"  (about {estimate_text(left)} left)"
    return line


def selected_words(progress: SweepProgress, selected: EpochRecord) -> str:
    """Return the figure that stands for a run: `best val_accuracy 0.8460 in epoch 1`, worded by the scope."""
    objective = progress.overview.objective
    figure = f"{objective.metric} {metric_text(objective.metric, objective.value(selected))}"
    if objective.scope in (BEST, LAST):
        return f"{objective.scope} {figure} in epoch {selected.epoch}"
    return f"{figure} ({objective.scope})"


def start_line(progress: SweepProgress) -> str:
    """Return what the sweep is going to do, and what is there already."""
    overview = progress.overview
    size = runs_words(progress)
    if progress.runs:  # without any, nothing says how many epochs a run will have
        size += f", {'about ' if progress.runs_to_come else ''}{count_text(progress.epochs_total, 'epoch')}"
    line = f"sweep {safe_text(overview.name)}: {size}, on {safe_text(overview.device)}, in {safe_text(overview.folder)}"
    if progress.epochs_done:
        line += f"; {count_text(progress.epochs_done, 'epoch')} done before"
    return line


def summary_line(progress: SweepProgress) -> str:
    """Return how the runs stand and the time of all commands: `7 finished, 1 diverged, in 3 m 12 s`."""
    counts = [f"{progress.counts[status]:,} {status.value}" for status in RunStatus if progress.counts[status]]
    if progress.runs_to_come:
        counts.append(f"{progress.runs_to_come:,} to come")
    elapsed = duration_text(progress.elapsed)
    return f"sweep {safe_text(progress.overview.name)}: {', '.join(counts) or 'no runs'}, in {elapsed}"
