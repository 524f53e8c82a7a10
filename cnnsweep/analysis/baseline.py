"""Runs and trials that are no better than a constant answer: they have learned nothing, and no advice follows."""

from collections.abc import Iterable, Sequence

from cnnsweep.analysis.results import Results
from cnnsweep.analysis.statistics import FEWEST_IMAGES
from cnnsweep.analysis.trials import Trial, chosen_trial, group_trials
from cnnsweep.formatting.numbers import count_text, metric_text
from cnnsweep.metrics.baseline import Baseline
from cnnsweep.metrics.names import ACCURACY, on_validation, without_prefix

AT_BASELINE = "○"


def compare_runs(results: Results) -> dict[str, bool]:
    """Return by name whether a run is better than a constant answer; without those of which that is unknown."""
    baseline = results.sweep.baseline
    if baseline is None:
        return {}
    known = [run for run in (*results.runs, *results.former) if not run.has_failed and run[baseline.metric] is not None]
    return {run.name: baseline.is_beaten_by(run[baseline.metric]) for run in known}


def compare_trials(results: Results, trials: Iterable[Trial]) -> dict[str, bool]:
    """Return by id whether the mean of a trial is better than a constant answer, as `compare_runs`."""
    baseline = results.sweep.baseline
    if baseline is None:
        return {}
    means = {trial.trial_id: _mean(results, trial, baseline) for trial in trials}
    return {trial_id: baseline.is_beaten_by(mean) for trial_id, mean in means.items() if mean is not None}


def runs_at_baseline(results: Results) -> frozenset[str]:
    """Return the names of the runs that are no better than a constant answer."""
    return frozenset(name for name, is_better in compare_runs(results).items() if not is_better)


def trials_at_baseline(results: Results, trials: Iterable[Trial]) -> frozenset[str]:
    """Return the ids of the trials whose means are no better than a constant answer."""
    return frozenset(trial_id for trial_id, is_better in compare_trials(results, trials).items() if not is_better)


def is_at_baseline(results: Results, trial: Trial) -> bool:
    """True for a trial whose mean is no better than a constant answer; False if that is unknown."""
    return bool(trials_at_baseline(results, [trial]))


def _mean(results: Results, trial: Trial, baseline: Baseline) -> float | None:
    if baseline.metric != results.sweep.objective.metric:
        return trial.mean(baseline.metric)
    return None if trial.estimate is None else trial.estimate.mean


def unpraised_words(results: Results, trials: Sequence[Trial]) -> str | None:
    """Return the reason why the selected trial is not marked as the best: a constant answer is as good; else None."""
    return unpraised_trial_words(results, chosen_trial(results, trials))


def unpraised_trial_words(results: Results, best: Trial | None) -> str | None:
    """Return `unpraised_words` of a sweep whose selected trial is known."""
    baseline = results.sweep.baseline
    if best is None or baseline is None or not is_at_baseline(results, best):
        return None
    if any(compare_runs(results).values()):
        # The accuracy stands in for a loss without a baseline of its own: it does not decide between runs that learned.
        is_deciding = baseline.metric == results.sweep.objective.metric
        return f"The first in the ranking is {no_better_words(baseline)}: no trial is marked." if is_deciding else None
    so_far = "" if any(run.is_complete for run in results.runs) else " so far"
    above = "above" if baseline.mode == "max" else "below"
    value = metric_text(baseline.metric, baseline.value)
    return (
        f"No run is better than {baseline.words}{so_far}: none has a {baseline.metric} {above} {value}. "
        "None of them is marked as the best."
    )


def is_praised(results: Results, trials: Sequence[Trial]) -> bool:
    """True if the selected trial may be called the best: it is better than a constant answer, or that is unknown."""
    return unpraised_words(results, trials) is None


def starred_run(results: Results) -> str | None:
    """Return the name of the run that is marked as the best; None if its trial is no better than a constant answer."""
    if results.sweep.best is None or results.sweep.baseline is None:
        return results.sweep.best
    trials = group_trials(results)
    best = next((trial for trial in trials if any(run.name == results.sweep.best for run in trial.runs)), None)
    return results.sweep.best if unpraised_trial_words(results, best) is None else None


def caution_words(results: Results, trials: Sequence[Trial]) -> str | None:
    """Return a warning for charts of hyperparameters if some trials are no better than a constant answer; else None."""
    baseline, known = results.sweep.baseline, compare_trials(results, trials)
    nothing = sum(not is_better for is_better in known.values())
    if baseline is None or not nothing:
        return None
    of = f"All {count_text(len(known), 'trial')}" if nothing == len(known) else f"{nothing:,} of {len(known):,} trials"
    verb = "is" if nothing == 1 else "are"
    return (
        f"{of} {verb} {no_better_words(baseline)}: comparisons with {'it' if nothing == 1 else 'them'} say little "
        "about the best values."
    )


def mark_legend(results: Results) -> str | None:
    """Return the meaning of the mark; None without a baseline."""
    baseline = results.sweep.baseline
    return None if baseline is None else legend_of(baseline)


def legend_of(baseline: Baseline) -> str:
    """Return the meaning of the mark of runs that are no better than a constant answer."""
    return f"{AT_BASELINE} {no_better_words(baseline)}"


def no_better_words(baseline: Baseline) -> str:
    """Return `no better than always answering 'cat' (val_accuracy 0.6792)`."""
    return f"no better than {baseline.words} ({value_words(baseline)})"


def baselines_words(results: Results) -> str | None:
    """Return the values of a constant answer: `val_accuracy 0.6792 by always answering 'cat'`.

    Named are the deciding metric, first, and the accuracy; None if neither has a known baseline.
    """
    deciding = results.sweep.baseline
    shown = [] if deciding is None else [deciding]
    shown += [one for one in results.sweep.baselines if one != deciding and without_prefix(one.metric) == ACCURACY]
    if not shown:
        return None
    by_answer: dict[str, list[str]] = {}
    for one in shown:
        by_answer.setdefault(one.words, []).append(value_words(one))
    return "; ".join(f"{', '.join(values)} by {words}" for words, values in by_answer.items())


def few_images_words(results: Results, value: float | None) -> str | None:
    """Return the lead over a constant answer in images, if it is one of a few images of the validation; else None."""
    baseline, images = results.sweep.baseline, results.sweep.validation_images
    if baseline is None or value is None or not images or baseline.metric != on_validation(ACCURACY):
        return None
    lead = (value - baseline.value) * images
    if not baseline.is_beaten_by(value) or lead >= FEWEST_IMAGES:
        return None
    return f"{count_text(max(round(lead), 1), 'image')} of {images:,} better than {baseline.words}: this may be luck"


def value_words(baseline: Baseline) -> str:
    """Return `val_accuracy 0.6792`."""
    return f"{baseline.metric} {metric_text(baseline.metric, baseline.value)}"
