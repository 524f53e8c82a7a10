"""Intervals of AUROC and average precision from the numbers of images alone, class by class.

Resampled images tell little about a nearly perfect model: a class whose images are all in the right order stays so in
every resample. The interval of a class therefore follows from its value and its numbers of images, and widens as these
fall even where the value is 1:

- AUROC: the ends are the values whose standard error (Hanley and McNeil, 1982) lets them be seen as the measured one,
  as Newcombe's method 5 (2006), with the larger number of images in place of the mean of both.
- Average precision: Wilson's, as if it were a share of the images of the class (Boyd, Eng and Page, 2013).

The mean over the classes takes the square root of the sum of squared distances of their ends (Zou and Donner, 2008),
with classes as independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from cnnsweep.analysis.statistics import CONFIDENCE, normal_quantile, wilson
from cnnsweep.metrics.ranking import Auroc, AveragePrecision
from cnnsweep.metrics.scores import ScoreMetric, Scores

Interval = tuple[float, float]

_STEPS = 50  # of bisection


def rank_interval(metric: ScoreMetric, likely: Tensor, labels: Tensor) -> Interval | None:
    """Return the interval of the mean over the classes; None for other metrics.

    Args:
        likely: probabilities (N, classes).
        labels: (N,), or (N, classes) of 0 and 1.
    """
    if not isinstance(metric, Auroc | AveragePrecision):
        return None
    of_class = auroc_interval if isinstance(metric, Auroc) else average_precision_interval
    values = metric.of_classes(Scores(likely[None], labels[None]))[0].tolist()
    has = labels if labels.ndim > 1 else torch.nn.functional.one_hot(labels, likely.shape[-1])
    positive = (has > 0).sum(0).tolist()
    known = [(value, count) for value, count in zip(values, positive, strict=True) if math.isfinite(value)]
    ends = [(value, *of_class(value, count, len(labels) - count)) for value, count in known]
    return mean_interval(ends)


def mean_interval(ends: list[tuple[float, float, float]]) -> Interval | None:
    """Return the interval of the mean of independent values, each with its two ends."""
    if not ends:
        return None
    mean = math.fsum(value for value, _, _ in ends) / len(ends)
    below = math.hypot(*(value - low for value, low, _ in ends)) / len(ends)
    above = math.hypot(*(high - value for value, _, high in ends)) / len(ends)
    return max(mean - below, 0.0), min(mean + above, 1.0)


def auroc_interval(value: float, positive: int, negative: int) -> Interval:
    """Return the interval of an area under the ROC curve of one class."""
    z = normal_quantile((1 + CONFIDENCE) / 2)

    def is_outside(end: float) -> bool:
        return abs(end - value) > z * math.sqrt(_variance(end, positive, negative))

    return _bisect(is_outside, value, 0.0), _bisect(is_outside, value, 1.0)


def _variance(area: float, positive: int, negative: int) -> float:
    """Return the variance of Hanley and McNeil for normal scores, the larger number of images on both sides."""
    larger = max(positive, negative) - 1
    return area * (1 - area) * (1 + larger * ((1 - area) / (2 - area) + area / (1 + area))) / (positive * negative)


def _bisect(is_outside: Callable[[float], bool], inside: float, outside: float) -> float:
    """Return the end between a value inside and the limit of the range, which the interval may reach."""
    if not is_outside(outside):
        # The variance at the limit is 0, so only a value that is the limit is not outside there.
        return outside
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if is_outside(middle) else (middle, outside)
    return inside


def average_precision_interval(value: float, positive: int, negative: int) -> Interval:
    """Return the interval of an average precision of one class."""
    del negative
    return wilson(value * positive, positive)
