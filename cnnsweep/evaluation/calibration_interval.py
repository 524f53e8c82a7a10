"""Interval of the expected calibration error, which few images overestimate.

With n images even a calibrated model has an error of about the noise of the accuracy in each bin, so resamples around
the measured value are too high. The ends are found in two ways:

- The lower end inverts a test. A model whose bins are miscalibrated by a share of what was measured is simulated; the
  end is the smallest share at which an error as large as the measured one occurs in 2.5 %. It is 0 if that happens to a
  calibrated model.
- The upper end adds, over the bins, the root of the squared distances to the far end of Wilson's interval of the
  accuracy, so that a bin whose images are all right may still be less accurate than it was sure.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from torch import Tensor

from cnnsweep.analysis.statistics import CONFIDENCE, wilson
from cnnsweep.metrics.likelihood import CalibrationError

Numbers = npt.NDArray[np.float64]

_SIMULATED = 2000
_STEPS = 12  # of bisection; a thousandth of the measured error would not be seen
_SEED = 0


def bins_of(each: Tensor) -> tuple[Numbers, Numbers, Numbers]:
    """Return for each bin what `calibration_interval` takes, from the metric's sums (N, ...) of each image."""
    confidence, right = CalibrationError.bins_of(each.double())
    return (confidence > 0).sum(0).numpy().astype(np.float64), confidence.sum(0).numpy(), right.sum(0).numpy()


def calibration_interval(images: Numbers, confidence: Numbers, right: Numbers) -> tuple[float, float]:
    """Return the 95 % interval of the error.

    Args:
        images: number of images in each bin.
        confidence: sum of their confidence.
        right: number of the right ones.
    """
    used = images > 0
    images, confidence, right = images[used], (confidence / np.maximum(images, 1))[used], right[used]
    total = images.sum()
    error = float((images * np.abs(right / images - confidence)).sum() / total)
    return _lower(images, confidence, right, error), _upper(images, confidence, right, error)


def _lower(images: Numbers, confidence: Numbers, right: Numbers, error: float) -> float:
    # One image more, as right as it was sure: a bin without a mistake is not calibrated without noise.
    distance = (right + confidence) / (images + 1) - confidence
    low, high = 0.0, 1.0
    if _is_likely(images, confidence, distance, 0.0, error):
        return 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if _is_likely(images, confidence, distance, middle, error) else (middle, high)
    return high * error


def _is_likely(images: Numbers, confidence: Numbers, distance: Numbers, share: float, error: float) -> bool:
    """Return True if a model with a share of these distances has such an error or a larger one in over 2.5 %."""
    accuracy = np.clip(confidence + share * distance, 0.0, 1.0)
    shape = (_SIMULATED, len(images))
    right = np.random.default_rng(_SEED).binomial(images.astype(np.int64), accuracy, shape)
    errors = np.abs(right - images * confidence).sum(1) / images.sum()
    return bool((errors >= error).mean() > (1 - CONFIDENCE) / 2)


def _upper(images: Numbers, confidence: Numbers, right: Numbers, error: float) -> float:
    squares = 0.0
    for count, sure, correct in zip(images.tolist(), confidence.tolist(), right.tolist(), strict=True):
        farthest = max(abs(end - sure) for end in wilson(correct, count))
        squares += (count * (farthest - abs(correct / count - sure))) ** 2
    return min(error + math.sqrt(squares) / float(images.sum()), 1.0)
