"""A test for a lead of one hyperparameter value over another that exceeds chance, and so shows a direction."""

from collections.abc import Sequence
from typing import Any

from cnnsweep.analysis.axes import canonical
from cnnsweep.analysis.effects import compare_values
from cnnsweep.analysis.results import Results
from cnnsweep.analysis.statistics import FEWEST_IMAGES, chance_lead
from cnnsweep.analysis.trials import Trial, mean_of
from cnnsweep.metrics.names import ACCURACY, on_validation


def is_clearly_better(results: Results, trials: Sequence[Trial], name: str, value: Any, other: Any) -> bool:
    """True if the runs with one value of a hyperparameter lead those with another by more than chance.

    If runs can be paired, the 95 % interval of their difference must exclude 0. If no spread can be estimated, the lead
    must exceed the variation from the choice of validation images. That is unknown for a loss, and for an accuracy
    without the number of images.
    """
    objective = results.sweep.objective
    sign = 1.0 if objective.mode == "max" else -1.0
    found = compare_values(results, name, value, other)
    if found is None or sign * found.mean <= 0:
        return False
    images = results.sweep.validation_images
    if objective.metric == on_validation(ACCURACY) and images and abs(found.mean) * images < FEWEST_IMAGES:
        return False  # one pair is enough: all pairs may share the same images
    if found.low is not None and found.high is not None and found.error:
        return min(sign * found.low, sign * found.high) > 0
    if objective.metric != on_validation(ACCURACY) or not images:
        return False
    means = [_mean_figure(trials, name, wanted) for wanted in (value, other)]
    return means[0] is not None and means[1] is not None and abs(found.mean) > chance_lead(means[0], means[1], images)


def _mean_figure(trials: Sequence[Trial], name: str, value: Any) -> float | None:
    return mean_of(
        trial.estimate.mean
        for trial in trials
        if trial.estimate is not None and canonical(trial.params.get(name)) == canonical(value)
    )
