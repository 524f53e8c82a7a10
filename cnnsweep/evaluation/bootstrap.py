"""Stratified bootstrap: 95 % intervals of metrics that are not shares of images, over the choice of the images.

The number of images of each class is fixed, as in a split by class. Three kinds of metrics are resampled in three ways:

- Of the confusion matrix: each row is drawn from the posterior of its shares, a Dirichlet distribution. This is the
  Bayesian bootstrap (Rubin, 1981) with a prior of one image a class, which is recognised as often as the classes are on
  average. Without a prior, a class of 9 images that are all recognised would have no spread. A class that the model
  never answered stays so. The ends are percentiles.
- Sums over images, such as the log-likelihood: the sums of each image, weighted by how often it is drawn.
- Of all scores, such as AUROC: images are drawn again within their classes.

For the latter two, the ends are those of a normal distribution with the deviation of the resamples, on the scale of log
odds where the metric is between 0 and 1, of logarithms where it is above 0; percentiles would need more resamples. If
the resamples show a bias, the interval is moved by it.

Resamples of a nearly perfect model, or of few images, spread too little; `rank_interval`, `mistakes` and
`calibration_interval` widen or replace what they give. `benchmarks/coverage.py` measures how often the intervals
contain the truth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cnnsweep.analysis.statistics import CONFIDENCE, normal_quantile
from cnnsweep.metrics.confusion import ConfusionMetric

Interval = tuple[float, float]
Numbers = npt.NDArray[np.float64]

RESAMPLES = 2000  # of a confusion matrix
FEW_RESAMPLES = 200  # of images; the deviation is then known to 5 %
_PRIOR = 1.0  # images a class
_SEED = 0
_MOST_NUMBERS = 1 << 22  # in one batch of resamples
_BIASED = 0.15  # of half the interval's width; a smaller bias is chance
_WIDEST = 50.0  # on the scale of logarithms
_FEWEST = 20  # resamples with a value; fewer give no deviation
_TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


def draw_confusions(confusion: Tensor, count: int = RESAMPLES) -> Tensor:
    """Return resampled confusion matrices (count, classes, classes) float64; each row keeps its sum.

    Args:
        confusion: (classes, classes) counts, one row a true class.
    """
    counts = confusion.double().cpu().numpy()
    images = counts.sum(1, keepdims=True)
    shape = np.broadcast_to(counts + _prior(counts), (count, *counts.shape))
    drawn = np.random.default_rng(_SEED).standard_gamma(shape)
    total = drawn.sum(2, keepdims=True)
    return torch.from_numpy(images * np.divide(drawn, total, out=np.zeros_like(drawn), where=total > 0))


def _prior(counts: Numbers) -> Numbers:
    """Return a prior of one image a class: recognised as often as the mean of the classes, else any other class."""
    images, right = counts.sum(1), np.diag(counts)
    present = images > 0
    recall = (0.5 + (right[present] / images[present]).sum()) / (1 + present.sum())
    is_answered = (counts.sum(0) > 0).astype(np.float64)
    others = np.tile(is_answered, (len(counts), 1))
    np.fill_diagonal(others, 0.0)
    prior = (1 - recall) * others / np.maximum(others.sum(1, keepdims=True), 1.0)
    return np.asarray(_PRIOR * (prior + np.diag(recall * is_answered)), dtype=np.float64)


def confusion_interval(metric: ConfusionMetric, value: float, drawn: Tensor) -> Interval | None:
    """Return the interval of a metric of the confusion matrix.

    Args:
        value: the metric of the matrix itself, which the interval contains.
        drawn: its resamples, see `draw_confusions`.
    """
    values = metric.of_confusion(drawn)
    known = values[values.isfinite()].numpy()
    if len(known) < _FEWEST:
        return None
    low, high = np.quantile(known, _TAILS)
    return min(float(low), value), max(float(high), value)


def sums_interval(
    compute: Callable[[Tensor, int], Tensor], sums: Tensor, labels: Tensor, value: float, limits: Interval
) -> Interval | None:
    """Return the interval of a metric that follows from a sum over images.

    Args:
        compute: the metric of the sums (K, ...) of K resamples, and the number of images.
        sums: (N, ...) of each image.
        labels: (N,), the class of each image.
        limits: the lowest and highest possible value.
    """
    random, strata = np.random.default_rng(_SEED), _strata(labels)
    each = sums.double().cpu().reshape(len(sums), -1)
    totals = [weights @ each for weights in _weights(strata, len(sums), random)]
    values = compute(torch.cat(totals).reshape(-1, *sums.shape[1:]), len(sums))
    return _of_sums(values, value, limits)


def scores_interval(
    of: Callable[[Tensor, Tensor], Tensor], scores: Tensor, labels: Tensor, value: float, limits: Interval
) -> Interval | None:
    """Return the interval of a metric of all scores.

    Args:
        of: the metric of scores (K, N, classes) and labels (K, N) of K resamples.
        scores: (N, classes).
        labels: (N,), on the same device.
    """
    random, strata = np.random.default_rng(_SEED), _strata(labels)
    values = []
    for count in _parts(FEW_RESAMPLES, _scores_at_once(scores)):
        positions = torch.from_numpy(_positions(strata, count, random)).to(scores.device)
        values.append(of(scores[positions], labels[positions]).double().cpu())
    _, half = _half(torch.cat(values))
    return None if half is None else _scaled(value, half, limits)


def batches_of_scores(scores: Tensor) -> int:
    """Return the number of batches of resamples in which `scores_interval` computes its metric."""
    return math.ceil(FEW_RESAMPLES / _scores_at_once(scores))


def _scores_at_once(scores: Tensor) -> int:
    return max(1, _MOST_NUMBERS // max(scores.numel(), 1))


def join(first: Interval | None, second: Interval | None) -> Interval | None:
    """Return the interval that contains both, as far as they are known."""
    if first is None or second is None:
        return first or second
    return min(first[0], second[0]), max(first[1], second[1])


def _strata(labels: Tensor) -> list[npt.NDArray[np.int64]]:
    """Return the positions of the images of each class that has any; with several labels an image, of all."""
    if labels.ndim > 1:
        return [np.arange(len(labels))]
    classes, order = labels.cpu().numpy(), np.argsort(labels.cpu().numpy(), kind="stable")
    _, first = np.unique(classes[order], return_index=True)
    return np.split(order, first[1:])


def _positions(strata: list[npt.NDArray[np.int64]], count: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return drawn positions (count, N), in each row the images of a class as often as there are."""
    drawn = [one[random.integers(0, len(one), (count, len(one)))] for one in strata]
    return np.concatenate(drawn, 1)


def _weights(strata: list[npt.NDArray[np.int64]], images: int, random: np.random.Generator) -> Iterator[Tensor]:
    """Yield how often each image is drawn (resamples, N), for some resamples at a time."""
    for count in _parts(FEW_RESAMPLES, max(1, _MOST_NUMBERS // images)):
        weights = torch.zeros(count, images, dtype=torch.float64)
        positions = torch.from_numpy(_positions(strata, count, random))
        yield weights.scatter_add_(1, positions, torch.ones_like(weights))


def _parts(total: int, at_once: int) -> Iterator[int]:
    return (min(at_once, total - done) for done in range(0, total, at_once))


def _of_sums(values: Tensor, value: float, limits: Interval) -> Interval | None:
    """Return the interval with the deviation of the resamples, moved by their bias if they have one."""
    known, half = _half(values)
    if half is None:
        return None
    bias = float(known.mean()) - value
    if abs(bias) < _BIASED * half:
        return _scaled(value, half, limits)
    middle = value - bias
    return max(min(middle - half, value), limits[0]), min(max(middle + half, value), limits[1])


def _scaled(value: float, half: float, limits: Interval) -> Interval:
    """Return the interval of a width on the scale of log odds or logarithms, where the limits allow it."""
    low, high = limits
    if limits == (0.0, 1.0) and 0 < value < 1:
        middle, width = math.log(value / (1 - value)), half / (value * (1 - value))
        return _share(middle - width), _share(middle + width)
    if low == 0 and high > 1 and value > 0:
        width = min(half / value, _WIDEST)
        return value * math.exp(-width), min(value * math.exp(width), high)
    return max(value - half, low), min(value + half, high)


def _half(values: Tensor) -> tuple[Tensor, float | None]:
    """Return the resamples that have a value, and half the interval's width; None if the spread is unknown."""
    known = values[values.isfinite()]
    deviation = float(known.std()) if len(known) >= _FEWEST else 0.0
    return known, normal_quantile(_TAILS[1]) * deviation if deviation > 0 else None


def _share(odds: float) -> float:
    """Return the share with these log odds."""
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))
