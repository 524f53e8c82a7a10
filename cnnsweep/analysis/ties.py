"""Trials exactly equal to the best one, and runs no better than chance: a star alone would hide both."""

from collections.abc import Sequence

from cnnsweep.analysis.results import Results
from cnnsweep.analysis.trials import Trial, chosen_trial, trial_words
from cnnsweep.formatting.numbers import metric_text
from cnnsweep.metrics.names import ACCURACY, on_validation
from cnnsweep.metrics.objective import has_learned

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


def mark(trial: Trial, best: Trial | None, is_starred: bool = True) -> str:
    """Return the mark before a trial: best, exactly equal to the best, or statistically tied with it.

    Args:
        best: the selected trial.
    """
    if trial.place == 1:
        return STAR if is_starred else " "
    if best is not None and is_starred and is_equal(trial, best):
        return EQUAL
    return TIED if trial.tied else " "


def chance_words(results: Results) -> str | None:
    """Return a sentence if no run has learned anything; None if one has, or if that is unknown.

    Always answering the largest class reaches its share of the images; a run without more than that is no candidate.
    """
    name = on_validation(ACCURACY)
    measured = [run for run in results.runs if run[name] is not None and not run.has_failed]
    chance = results.sweep.chance
    if not measured or chance is None or any(has_learned(run[name], chance) for run in measured):
        return None
    so_far = "" if any(run.is_complete for run in measured) else " so far"
    return (
        f"No run has learned anything{so_far}: none has a {name} above {metric_text(name, chance)}, "
        "the accuracy of always answering the largest class. None of them is marked as the best."
    )


def starred_run(results: Results) -> str | None:
    """Return the name of the run that is marked as the best; None if no run beats chance."""
    return None if chance_words(results) else results.sweep.best


def equal_runs(results: Results) -> frozenset[str]:
    """Return the names of runs with exactly the value of the run that is marked as the best."""
    best = next((run for run in results.runs if run.name == starred_run(results)), None)
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
