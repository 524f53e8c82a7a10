"""Next steps, derived from the results."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cnnsweep.analysis.axes import has_replicates, is_number, trial_axes
from cnnsweep.analysis.baseline import compare_trials, is_praised, runs_at_baseline, trials_at_baseline
from cnnsweep.analysis.direction import is_clearly_better
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.summary import group_failures
from cnnsweep.analysis.test_results import tests_by_trial
from cnnsweep.analysis.trials import Trial, best_of, chosen_trial
from cnnsweep.formatting.class_counts import hides_small_classes, is_very_unequal, metric_for_small_classes
from cnnsweep.formatting.distinct import FEW_DIGITS, number_texts
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text
from cnnsweep.metrics.baseline import ALL_LABELS
from cnnsweep.metrics.objective import BEST
from cnnsweep.report.key_values import quoted
from cnnsweep.types import FailureKind, RunStatus

MANY_SEEDS = 5
BALANCING = {"class_weight": "none, balanced", "sampling": "natural, balanced"}  # axes for unequal classes


@dataclass(frozen=True, slots=True)
class Step:
    """A suggested action, and its command, if there is one."""

    words: str
    command: str | None = None


def next_steps(results: Results, trials: Sequence[Trial]) -> list[Step]:
    """Return the next steps, the most urgent first."""
    best = chosen_trial(results, trials)
    steps = [*_unfinished(results), *_failures(results), *steps_for_unequal(results, trials)]
    if best is not None and not is_praised(results, trials):
        steps.append(_unpraised(results, trials))
    elif best is not None:
        steps += [*_longer(results, best), *_values(results, trials, best)]
        steps += [*_seeds(results, trials), *_test(results, best)]
    return steps


def _unfinished(results: Results) -> Iterator[Step]:
    if results.sweep.status == "interrupted":
        yield Step("The sweep was interrupted. Resume it with the same 'cnnsweep run' command.")


def _failures(results: Results) -> Iterator[Step]:
    groups = group_failures(results)
    for group in groups:
        count = count_text(len(group.runs), "run")
        if group.status is RunStatus.DIVERGED:
            yield Step(f"{count} diverged: exclude these trials, or try a smaller lr or grad_clip.")
        elif group.failure is FailureKind.MEMORY:
            yield Step(f"{count} ran out of memory: take a smaller batch_size or model, then add --retry-failed.")
        else:
            name = quoted(group.runs[0].name)
            command = f"cnnsweep logs {quoted(results.folder)} {name}"
            words = f"{count} failed. Read the cause, fix it, and run the same command with --retry-failed."
            yield Step(words, command)


def steps_for_unequal(results: Results, trials: Sequence[Trial]) -> Iterator[Step]:
    """Suggest a metric, weights and sampling for unequal classes, if accuracy hides the small ones."""
    sweep, counts = results.sweep, results.sweep.part_counts
    is_hidden = hides_small_classes(sweep.metric)
    if counts is None or not is_very_unequal(counts) or not (is_hidden or trials_at_baseline(results, trials)):
        return
    keys = [f"{name}: [{values}]" for name, values in BALANCING.items() if name not in sweep.axes]
    parts = [
        *([f"rank by metric: {metric_for_small_classes(counts)}"] if is_hidden else []),
        *(f"try {key}" for key in keys),
    ]
    if parts:
        several = counts.training.is_multi_label
        yield Step(f"{'Labels' if several else 'Classes'} are unequal: {'; '.join(parts)}.")


def _unpraised(results: Results, trials: Sequence[Trial]) -> Step:
    if any(compare_trials(results, trials).values()):
        return Step("The first in the ranking is no better than a constant answer: rank by another metric.")
    if results.sweep.baseline is not None and results.sweep.baseline.words == ALL_LABELS:
        return Step(f"No run is better than {ALL_LABELS}: rank by average_precision, which needs no threshold.")
    return Step(
        "No run is better than a constant answer: check the data and the labels first, then try another lr or model."
    )


def _longer(results: Results, best: Trial) -> Iterator[Step]:
    run = best_of(results, best)
    is_last = run.best_epoch is not None and run.best_epoch == run.epochs_done > 1
    if results.sweep.objective.scope == BEST and run.status is RunStatus.FINISHED and is_last:
        yield Step(f"The best run was best in its last epoch, {run.epochs_done}: more epochs may reach more.")


def _values(results: Results, trials: Sequence[Trial], best: Trial) -> Iterator[Step]:
    """Suggest values outside a grid, or between its values; a search finds these by itself.

    Only if the best value leads its neighbours by more than chance allows; otherwise there is no direction. Runs that
    are no better than a constant answer show none either.
    """
    at_baseline = runs_at_baseline(results)
    learned = dataclasses.replace(results, runs=tuple(run for run in results.runs if run.name not in at_baseline))
    if results.sweep.search is not None and results.sweep.search.get("method") != "grid":
        return
    for name in trial_axes(results):
        value = best.params.get(name)
        trained: set[float] = {v for s in trials if is_number(v := s.params.get(name)) and v is not None}
        values = sorted(trained)
        if name == "epochs" or value is None or not is_number(value) or len(values) < 2:
            continue
        texts = dict(zip(values, number_texts(values, FEW_DIGITS), strict=True))
        place = values.index(value)
        beside = values[max(place - 1, 0) : place] + values[place + 1 : place + 2]
        if not all(is_clearly_better(learned, trials, name, value, other) for other in beside):
            continue
        low, high = texts[values[0]], texts[values[-1]]
        shown = f"{safe_text(name)}={texts[value]}"
        if value == values[0]:
            yield Step(f"{shown} is the smallest value that was trained (up to {high}): try smaller ones.")
        elif value == values[-1]:
            yield Step(f"{shown} is the largest value that was trained (from {low}): try larger ones.")
        else:
            around = [texts[values[place - 1]], texts[values[place + 1]]]
            yield Step(f"{shown} lies between the trained values: try finer steps between {around[0]} and {around[1]}.")


def _seeds(results: Results, trials: Sequence[Trial]) -> Iterator[Step]:
    if len(trials) < 2:
        return
    if not has_replicates(results):
        yield Step(f"Every trial has one run: train the best few with seeds: {MANY_SEEDS} to measure the noise.")
    elif sum(trial.tied is True for trial in trials) > 1:
        yield Step("Several trials are tied with the best: use the cheapest of them, or train them with more seeds.")


def _test(results: Results, best: Trial) -> Iterator[Step]:
    if best.trial_id not in tests_by_trial(results):
        words = "When all choices are made, measure the best trial on the test images, once."
        yield Step(words, f"cnnsweep evaluate {quoted(results.folder)}")
