"""Intervals of means over images that are ruled by a few mistakes, such as loss, log-likelihood and Brier score.

A good model owes most of its loss to some wrong images. Resamples of a validation without any know nothing of them, and
are far too narrow. How often a model is wrong has Wilson's interval, also with no mistake at all; each mistake more or
less counts as much as the mean of those seen and one more. That one is made up: an image as unsure as the least sure
tenth, whose label is exchanged for the most likely other class.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cnnsweep.analysis.statistics import wilson
from cnnsweep.evaluation.bootstrap import Interval

_UNSURE = 10  # of this many images one


@dataclass(frozen=True, slots=True)
class ImageLosses:
    """Values of a mean, one an image (N,): as they are, and if the label were the most likely other class.

    Attributes:
        is_wrong: bool, the model answers another class than the label.
    """

    each: Tensor
    mistaken: Tensor
    is_wrong: Tensor


def most_likely_other(logits: Tensor, labels: Tensor) -> Tensor:
    """Return for each image (N,) the class with the largest logit (N, classes) beside its label."""
    return logits.scatter(1, labels[:, None], -torch.inf).argmax(1)


def with_mistakes(interval: Interval | None, value: float, losses: ImageLosses, limits: Interval) -> Interval:
    """Return the interval of a mean, widened to contain the effect of more or fewer mistakes.

    Args:
        interval: of the resamples; None if they have no spread.
        limits: the lowest and highest possible value.
    """
    images, wrong = len(losses.each), int(losses.is_wrong.sum())
    fewest, most = wilson(wrong, images)
    one = _loss_of_mistake(losses)
    low, high = interval or (value, value)
    low, high = min(low, value - (wrong / images - fewest) * one), max(high, value + (most - wrong / images) * one)
    return max(low, limits[0]), min(high, limits[1])


def _loss_of_mistake(losses: ImageLosses) -> float:
    """Return the mean value of the wrong images and a made-up one; never below 0, as a mistake is no gain."""
    unsure = losses.mistaken.sort().values[: max(1, len(losses.mistaken) // _UNSURE)]
    seen = losses.each[losses.is_wrong]
    return max(float((seen.sum() + unsure.mean()) / (len(seen) + 1)), 0.0)
