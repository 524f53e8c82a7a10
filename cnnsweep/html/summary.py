"""The summary in words: the sweep, its best trial, and the certainty of that."""

from collections.abc import Sequence

from cnnsweep.analysis.axes import MANY_VALUES, canonical, has_replicates, in_file_order, is_number, trial_axes
from cnnsweep.analysis.baseline import baselines_words, few_images_words, unpraised_words
from cnnsweep.analysis.chart_stopping import saving_words
from cnnsweep.analysis.intervals import mean_text
from cnnsweep.analysis.results import Results, RunResult
from cnnsweep.analysis.significance import significance_words
from cnnsweep.analysis.summary import group_failures, time_words
from cnnsweep.analysis.test_results import latest_tests, tested_words, tests_by_trial
from cnnsweep.analysis.ties import tie_words
from cnnsweep.analysis.trials import Trial, best_of, chosen_trial, replicate_words, trial_words
from cnnsweep.formatting.distinct import FEW_DIGITS, distinct_texts, number_texts
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text, is_unused, metric_text, trial_text
from cnnsweep.metrics.names import is_on_validation
from cnnsweep.report.former_runs import former_words
from cnnsweep.report.ranking import ONE_RUN, counts_words
from cnnsweep.report.run_status import in_epoch_words

TRIALS_SHOWN = 10


def swept_words(results: Results) -> list[str]:
    """Return model, data set, hyperparameters and outcome of the sweep."""
    sweep = results.sweep
    model = f"{sweep.model} on " if sweep.model else ""
    trials = len({run.trial_id for run in results.runs})
    of = f" of {count_text(trials, 'trial')}" if has_replicates(results) else ""
    search = sweep.search
    method = None if search is None else search.get("method")
    drawn = f", chosen by {trial_text(method)} search" if method not in (None, "grid") else ""
    folds = f", cross-validated in {count_text(sweep.folds, 'fold')}" if sweep.folds else ""
    threads = f", {count_text(sweep.threads, 'thread')}" if sweep.threads else ""
    lines = [
        f"{model}{sweep.dataset}: {counts_words(results, of)}{drawn}{folds}; "
        f"{time_words(results)} on {sweep.device}{threads}, {sweep.precision}."
    ]
    better = "higher" if sweep.objective.mode == "max" else "lower"
    decides = f"Ranked by {sweep.objective.metric}, {better} is better."
    if not is_on_validation(sweep.objective.metric):
        decides += " It was measured while the weights moved: new images may rank the runs otherwise."
    lines.append(decides)
    if sweep.status != "finished":
        lines.append(f"The sweep is {sweep.status}: the following covers the results so far.")
    return lines


def varied_rows(results: Results, trials: Sequence[Trial]) -> list[tuple[str, str]]:
    """Return each hyperparameter that varies with its values in a few words."""
    runs = in_file_order(results, [trial.runs[0] for trial in trials])
    return [(name, values_words(name, runs)) for name in trial_axes(results)]


def values_words(name: str, runs: Sequence[RunResult]) -> str:
    """Return the values of a hyperparameter: all of them, or their range.

    Args:
        runs: one per trial, in the file's order.
    """
    values = {canonical(value): value for run in runs if not is_unused(name, value := run.params[name])}
    numbers: list[float] = [value for value in values.values() if value is not None and is_number(value)]
    if len(numbers) == len(values):
        values = {canonical(value): value for value in sorted(numbers)}
    if len(numbers) == len(values) > MANY_VALUES:
        low, high = number_texts([min(numbers), max(numbers)], FEW_DIGITS)
        return f"{len(values):,} values from {low} to {high}"
    texts = distinct_texts(list(values.values()))
    rest = f" and {len(texts) - MANY_VALUES:,} more" if len(texts) > MANY_VALUES else ""
    return ", ".join(texts[:MANY_VALUES]) + rest


def best_words(results: Results, trials: Sequence[Trial]) -> tuple[str, list[str]]:
    """Return the best trial and sentences about it; an empty text if no run has a value."""
    trial = chosen_trial(results, trials)
    if trial is None:
        goes_on = any(not run.status.is_final for run in results.runs)
        return "", ["No run has a metric yet." if goes_on else "No run has a metric to rank by."]
    metric, run = results.sweep.objective.metric, best_of(results, trial)
    found = trial.estimate
    lines = []
    if len(trial.runs) > 1 and found is not None:
        lines.append(f"{metric} {mean_text(metric, found)}, mean of {replicate_words(trial.figures)}.")
    which = f"Its best run, {safe_text(run.name)}, reached" if len(trial.runs) > 1 else "It reached"
    epoch = "" if run.best_epoch is None else f" {in_epoch_words(run)}"
    lines.append(f"{which} {metric} {metric_text(metric, run[metric])}{epoch}.")
    if (baselines := baselines_words(results)) is not None:
        lines.append(f"The baseline is {baselines}.")
    if (few := few_images_words(results, None if found is None else found.mean)) is not None:
        lines.append(f"{few[0].upper()}{few[1:]}.")
    if (unpraised := unpraised_words(results, trials)) is not None:
        lines.insert(0, unpraised)
    elif (tie := tie_words(results, trials)) is not None:
        lines.append(f"Tied: {tie}.")
    tests = tests_by_trial(results).get(trial.trial_id, [])
    for words in tested_words(results, latest_tests(tests)):
        lines.append(f"{words[0].upper()}{words[1:]}.")
    if len(tests_by_trial(results)) > 1:
        lines.append("More than one trial was tested; the best of several tests is optimistic.")
    return trial_words(results, trial, ", "), lines


def significance_sentence(results: Results, trials: Sequence[Trial]) -> list[str]:
    """Return the certainty that the best trial is the best."""
    words = significance_words(results, trials)
    if not has_replicates(results) and len(trials) > 1:
        return [ONE_RUN.replace("`", "")]
    return words


def other_words(results: Results) -> list[str]:
    """Return the saving of early stopping, and the failures with their causes."""
    lines = []
    if any(run.stop for run in results.runs):
        words = saving_words(results)
        lines.append(f"Early stopping {words}.")
    if results.former:
        lines.append(f"{former_words(results)}: see the end of the table of all runs.")
    for group in group_failures(results):
        kind = f" ({group.failure})" if group.failure and group.failure.value != group.status.value else ""
        lines.append(f"{count_text(len(group.runs), 'run')} {group.status.value}{kind}: {safe_text(group.cause)}")
    return lines
