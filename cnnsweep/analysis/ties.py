"""Trials exactly equal to the best one, and their marks: a star alone would hide them."""

from collections.abc import Sequence

from cnnsweep.analysis.baseline import AT_BASELINE
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.trials import Trial, chosen_trial, trial_words

TIED_NAMED = 3  # trials named; of more the number is given
STAR, EQUAL, TIED = "★", "=", "≈"


def equals_of_best(results: Results, trials: Sequence[Trial]) -> list[Trial]:
    """Return the other trials with exactly the value of the selected one, without failed ones."""
    best = chosen_trial(results, trials)
    return [] if best is None else [trial for trial in trials if trial is not best and is_equal(trial, best)]


def tie_words(results: Results, trials: Sequence[Trial]) -> str | None:
    """Return the trials that tie with the best, and the tie breaker; None if the best is alone."""
    best, equal = chosen_trial(results, trials), equals_of_best(results, trials)
    if best is None or not equal:
        return None
    metric, tie_breaker = results.sweep.objective.metric, results.sweep.objective.tie_breaker
    named = "; ".join(trial_words(results, trial, ", ") for trial in equal[:TIED_NAMED])
    rest = len(equal) - TIED_NAMED
    who = f"{named}{f' and {rest:,} more' if rest > 0 else ''}"
    verb = "reaches" if len(equal) == 1 else "reach"
    has_lower = tie_breaker is not None and best.loss is not None and equal[0].loss != best.loss
    why = f"it has the lowest {tie_breaker} of them" if has_lower else "it comes first"
    return f"{who} {verb} exactly the same {metric}: {why}"


def mark(trial: Trial, best: Trial | None, is_starred: bool = True, is_at_baseline: bool = False) -> str:
    """Return the mark before a trial: best, at the baseline, exactly equal to the best, or statistically tied with it.

    Args:
        best: the selected trial.
        is_starred: see `is_praised`.
    """
    if trial.place == 1 and is_starred:
        return STAR
    if is_at_baseline:
        return AT_BASELINE
    if trial.place == 1:
        return " "
    if best is not None and is_starred and is_equal(trial, best):
        return EQUAL
    return TIED if trial.tied else " "


def equal_runs(results: Results, starred: str | None) -> frozenset[str]:
    """Return the names of runs with exactly the value of the run that is marked as the best, see `starred_run`."""
    best = next((run for run in results.runs if run.name == starred), None)
    metric = results.sweep.objective.metric
    if best is None or best[metric] is None:
        return frozenset()
    return frozenset(
        run.name for run in results.runs if run is not best and not run.has_failed and run[metric] == best[metric]
    )


def is_equal(trial: Trial, best: Trial) -> bool:
    """True for a trial without failed runs that has exactly the value of the best one."""
    if trial.estimate is None or best.estimate is None or trial.failed:
        return False
    return trial.estimate.mean == best.estimate.mean
