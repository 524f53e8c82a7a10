"""Single lines about a run or a sweep, worded alike in the live display, in plain logs and in quiet mode."""

from cnnsweep.display.figures import count_text, duration_text, estimate_text, figure_text, settings_text
from cnnsweep.display.progress import FAILURES, RunProgress, SweepProgress
from cnnsweep.display.safe_text import safe_text
from cnnsweep.records import RunOutcome, RunStatus


def run_words(progress: SweepProgress, row: RunProgress) -> str:
    """Return `run 2/8 lr=0.01 batch_size=100`."""
    settings = settings_text(row.run.settings, progress.overview.columns)
    return f"run {row.number}/{len(progress.runs)} {settings}".rstrip()


def failure_line(progress: SweepProgress, row: RunProgress, outcome: RunOutcome) -> str:
    """Return one line that says which run failed and why."""
    cause = f": {safe_text(outcome.cause)}" if outcome.cause else ""
    return f"{run_words(progress, row)}  {outcome.status.value}{cause}"


def end_line(progress: SweepProgress, row: RunProgress, outcome: RunOutcome) -> str:
    """Return one line on how a run ended, its best epoch, and the time the sweep still needs."""
    if outcome.status in FAILURES:
        line = failure_line(progress, row, outcome)
    else:
        took = f" in {duration_text(row.latest.run_duration)}" if row.latest else ""
        cause = f": {safe_text(outcome.cause)}" if outcome.cause else ""
        line = f"{run_words(progress, row)}  {outcome.status.value}{took}{cause}"
        if row.best:
            metric = progress.overview.objective.metric
            figure = figure_text(metric, progress.overview.objective.value(row.best))
            line += f", best {metric} {figure} in epoch {row.best.epoch}"
    left = progress.seconds_left()
    if progress.time_left.epochs_left and left is not None:
        line += f"  (about {estimate_text(left)} left)"
    return line


def start_line(progress: SweepProgress) -> str:
    """Return what the sweep is going to do, and what is there already."""
    overview = progress.overview
    size = f"{count_text(len(progress.runs), 'run')}, {count_text(progress.epochs_total, 'epoch')}"
    line = f"sweep {safe_text(overview.name)}: {size}, on {safe_text(overview.device)}, in {safe_text(overview.folder)}"
    if progress.epochs_done:
        line += f"; {count_text(progress.epochs_done, 'epoch')} done before"
    return line


def summary_line(progress: SweepProgress) -> str:
    """Return how the runs stand and the time of this session: `7 finished, 1 diverged, in 3 m 12 s`."""
    counts = [f"{progress.counts[status]:,} {status.value}" for status in RunStatus if progress.counts[status]]
    elapsed = duration_text(progress.time_left.elapsed())
    return f"sweep {safe_text(progress.overview.name)}: {', '.join(counts)}, in {elapsed}"
