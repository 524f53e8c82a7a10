"""The efficient frontier: trials with no other that is both better and cheaper."""

from collections.abc import Callable, Sequence
from statistics import fmean

from cnnsweep.analysis.configurations import Setting
from cnnsweep.metrics.objective import Objective

SHORTEST_TIME = 0.01  # seconds; what is shorter differs by chance


def frontier(
    objective: Objective, settings: Sequence[Setting], cost: Callable[[Setting], float | None]
) -> list[tuple[Setting, float]]:
    """Return the trials with no other that is better and no dearer, or as good and cheaper, with their costs.

    The cheapest comes first, so the metric improves down the list. Trials without a value or cost are left out,
    and those with a failed run.
    """
    sign = -1.0 if objective.mode == "max" else 1.0
    known = [
        (value, sign * setting.estimate.mean, setting)
        for setting in settings
        if setting.estimate is not None and not setting.failed and (value := cost(setting)) is not None
    ]
    found: list[tuple[Setting, float]] = []
    lowest = float("inf")
    for value, figure, setting in sorted(known, key=lambda entry: entry[:2]):
        if figure < lowest:
            found.append((setting, value))
            lowest = figure
    return found


def training_time(setting: Setting) -> float | None:
    """Return the training time, rounded as it is shown: times that look equal are no trade-off."""
    seconds = setting.run_duration
    return None if seconds is None else round(max(seconds, SHORTEST_TIME), 2 if seconds < 0.095 else 1)


def parameters(setting: Setting) -> float | None:
    """Return the number of weights of the model, the mean over the runs."""
    known = [run.parameters for run in setting.runs if run.parameters is not None]
    return fmean(known) if known else None
