"""The Pareto set: trials with no other that is both better and cheaper."""

from collections.abc import Callable, Sequence
from statistics import fmean

from cnnsweep.analysis.trials import Trial
from cnnsweep.metrics.objective import Objective

SHORTEST_TIME = 0.01  # seconds; shorter times differ by chance


def pareto(
    objective: Objective, trials: Sequence[Trial], cost: Callable[[Trial], float | None]
) -> list[tuple[Trial, float]]:
    """Return the trials with no other that is better and no dearer, or as good and cheaper, with their costs.

    The cheapest comes first, so the metric improves down the list. Trials without a value or cost are left out,
    and those with a failed run.
    """
    sign = -1.0 if objective.mode == "max" else 1.0
    known = [
        (value, sign * trial.estimate.mean, trial)
        for trial in trials
        if trial.estimate is not None and not trial.failed and (value := cost(trial)) is not None
    ]
    found: list[tuple[Trial, float]] = []
    lowest = float("inf")
    for value, figure, trial in sorted(known, key=lambda entry: entry[:2]):
        if figure < lowest:
            found.append((trial, value))
            lowest = figure
    return found


def training_time(trial: Trial) -> float | None:
    """Return the training time, rounded as shown: times that look equal are no trade-off."""
    seconds = trial.run_duration
    return None if seconds is None else round(max(seconds, SHORTEST_TIME), 2 if seconds < 0.095 else 1)


def parameters(trial: Trial) -> float | None:
    """Return the number of weights of the model, the mean over the runs."""
    known = [run.parameters for run in trial.runs if run.parameters is not None]
    return fmean(known) if known else None
