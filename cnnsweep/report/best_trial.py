"""The best trial in words, as the end of `cnnsweep run` and the report print it."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from cnnsweep.analysis.axes import trial_axes
from cnnsweep.analysis.baseline import baselines_words, few_images_words, unpraised_words
from cnnsweep.analysis.intervals import mean_text
from cnnsweep.analysis.results import Results, RunResult
from cnnsweep.analysis.test_results import tests_by_trial
from cnnsweep.analysis.ties import tie_words
from cnnsweep.analysis.trials import Trial, best_of, chosen_trial, replicate_words
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import UNKNOWN, count_text, metric_text, trials_text
from cnnsweep.metrics.names import in_a_line
from cnnsweep.metrics.objective import BEST, LAST
from cnnsweep.progress.live_table import BEST_STYLE
from cnnsweep.report.key_values import print_fact, print_list, quoted
from cnnsweep.report.next_steps import steps_for_unequal
from cnnsweep.report.run_status import in_epoch_words, run_epochs_words


def print_best(results: Results, trials: Sequence[Trial], console: Console) -> None:
    """Print the best trial in words, its checkpoint, and the command that tests it."""
    console.print()
    trial = chosen_trial(results, trials)
    if trial is None:
        goes_on = any(not run.status.is_final for run in results.runs)
        console.print(Text("No run has a metric yet." if goes_on else "No run has a metric to rank by.", "magenta"))
        return
    sweep = results.sweep
    run = best_of(results, trial)
    axes = trial_axes(results)
    names = axes or [name for name in sweep.hyperparameters if run.params[name] is not None]
    known = {name: value for name, value in run.params.items() if name in trial.params}
    unpraised = unpraised_words(results, trials)
    if unpraised is not None:
        console.print(Text(unpraised, "magenta"))
    label, style = ("best", BEST_STYLE) if unpraised is None else ("first", "")
    print_fact(console, label, trials_text(known, names, ", ") or safe_text(run.name), style)
    figures = [f"{metric} {metric_text(metric, run[metric])}" for metric in _metric_first(results, run)]
    figures[-1] += f" {_epoch_words(results, run)}"
    if len(trial.runs) > 1:
        print_fact(console, "", _mean_words(results, trial))
    print_list(console, "best run" if len(trial.runs) > 1 else "", figures)
    _print_baseline(results, trial, console)
    if (tie := tie_words(results, trials)) is not None and unpraised is None:
        print_fact(console, "tied", tie)
    if run.checkpoint:
        print_fact(console, "checkpoint", safe_text(results.folder / run.checkpoint))
        if trial.trial_id not in tests_by_trial(results):
            print_fact(console, "test it", f"cnnsweep evaluate {quoted(results.folder)}")
    for step in steps_for_unequal(results, trials):
        print_fact(console, "next", step.words)


def _print_baseline(results: Results, trial: Trial, console: Console) -> None:
    """Print what a constant answer reaches, and a lead over it that may be luck."""
    if (words := baselines_words(results)) is not None:
        print_fact(console, "baseline", words)
    if (few := few_images_words(results, None if trial.estimate is None else trial.estimate.mean)) is not None:
        print_fact(console, "", few, "magenta")


def _mean_words(results: Results, trial: Trial) -> str:
    metric, found = results.sweep.objective.metric, trial.estimate
    if found is None:
        return f"{metric} {UNKNOWN}"
    of = f", mean of {replicate_words(trial.figures)}" if found.count > 1 else f" of {count_text(found.count, 'run')}"
    return f"{metric} {mean_text(metric, found)}{of}"


def _epoch_words(results: Results, run: RunResult) -> str:
    scope = results.sweep.objective.scope
    if scope in (BEST, LAST):
        return in_epoch_words(run)
    return f"as {scope} of {run_epochs_words(run)}"


def _metric_first(results: Results, run: RunResult) -> list[str]:
    """Return the names of the measured metrics for a line, the deciding one first."""
    measured = [metric for metric in results.sweep.recorded if run[metric] is not None]
    return in_a_line(measured, results.sweep.objective.metric)
