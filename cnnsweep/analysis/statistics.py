"""Means with intervals, differences between trials, and their certainty. Pure functions of numbers.

SciPy takes a third of a second to import, so it is imported where a quantile is needed.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean
from typing import TypeVar

CONFIDENCE = 0.95
_OF_95 = 1.959963984540054  # the standard normal quantile; `NormalDist` is off in the last bit
FEWEST_EQUAL = 5  # replicates; fewer may agree only because accuracies are coarse, so their spread is unknown
FEWEST_IMAGES = 4  # images; a smaller lead is luck at any accuracy
MOST_SEEDS = 1000  # practical limit of seeds to separate two trials

_ROUNDING = 1e-12

Key = TypeVar("Key", bound=Hashable)  # different for each repeat: a seed, a fold, or both
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over replicates, with its interval by Student's t.

    `deviation` and interval are None for one value; the interval also if fewer than `FEWEST_EQUAL` are all equal.
    """

    mean: float
    deviation: float | None  # of the sample: with n - 1
    low: float | None
    high: float | None
    count: int

    @property
    def half(self) -> float | None:
        """Half the interval's width, the number after ±."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Difference:
    """The first's mean minus the second's. Values that need more repeats are None.

    Attributes:
        low, high: its 95 % interval.
        sure: the probability that the first's true mean is the larger one, 0 to 1; 0.5 means no evidence.
        pairs: number of common replicates behind a paired difference; None if unpaired.
        freedom: degrees of freedom of the t distribution.
        error: standard error of `mean`.
        overlap: the ratio of held-out to training images that `error` was corrected by.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    sure: float | None = None
    pairs: int | None = None
    freedom: float | None = None
    error: float | None = None
    overlap: float = 0.0


def estimate(values: Sequence[float], overlap: float = 0.0, confidence: float = CONFIDENCE) -> Estimate:
    """Return mean, sample standard deviation and t interval of the mean.

    Args:
        values: one a replicate, finite.
        overlap: with k-fold cross-validation the ratio of held-out to training images, 1 / (k - 1). Folds share
            training images, so their values are not independent; the variance of their mean is then s² (1 / n +
            overlap), the correction of Nadeau and Bengio (2003). 0 for independent replicates.
        confidence: the probability that such an interval holds the true mean.

    Raises:
        ValueError: there are no values.
    """
    mean, deviation = _moments(values)
    if deviation is None or (deviation == 0 and len(values) < FEWEST_EQUAL):
        return Estimate(mean, deviation, None, None, len(values))
    half = _quantile((1 + confidence) / 2, len(values) - 1) * deviation * math.sqrt(1 / len(values) + overlap)
    return Estimate(mean, deviation, mean - half, mean + half, len(values))


def difference(first: Mapping[Key, float], second: Mapping[Key, float], overlap: float = 0.0) -> Difference:
    """Return the lead of the first's mean over the second's, and its certainty.

    Replicates with the same key have the same seed and images, so common variation cancels in pairs. With at least two
    shared keys, this is the paired t test over them, and other replicates are omitted. Otherwise it is Welch's t test
    over all values, which needs two on each side.

    Args:
        first: the values of one trial, by replicate.
        second: the values of the other trial.
        overlap: as in `estimate`.

    Raises:
        ValueError: one side has no values.
    """
    shared = [key for key in first if key in second]
    if len(shared) >= 2:
        mean, deviation = _moments([first[key] - second[key] for key in shared])
        assert deviation is not None
        if deviation == 0 and len(shared) < FEWEST_EQUAL:
            return Difference(mean, pairs=len(shared), overlap=overlap)
        error = deviation * math.sqrt(1 / len(shared) + overlap)
        return _judged(mean, error, len(shared) - 1, len(shared), overlap)
    (a, a_deviation), (b, b_deviation) = _moments(list(first.values())), _moments(list(second.values()))
    if a_deviation is None or b_deviation is None or (a_deviation == b_deviation == 0 and _are_few(first, second)):
        return Difference(a - b, overlap=overlap)
    parts = [
        (deviation**2 * (1 / len(side) + overlap), len(side) - 1)
        for deviation, side in ((a_deviation, first), (b_deviation, second))
    ]
    total = sum(variance for variance, _ in parts)
    # Welch and Satterthwaite's degrees of freedom, from shares: variances themselves may underflow when squared.
    freedom = 1 / sum((variance / total) ** 2 / n for variance, n in parts) if total else float(len(first) - 1)
    return _judged(a - b, math.sqrt(total), freedom, None, overlap)


def _are_few(first: Mapping[Key, float], second: Mapping[Key, float]) -> bool:
    return min(len(first), len(second)) < FEWEST_EQUAL


def _judged(mean: float, error: float, freedom: float, pairs: int | None, overlap: float) -> Difference:
    if error == 0:  # replicates that agree to the last bit have no spread
        sure = 0.5 if mean == 0 else float(mean > 0)
        return Difference(mean, mean, mean, sure, pairs, freedom, 0.0, overlap)
    half = _quantile((1 + CONFIDENCE) / 2, freedom) * error
    return Difference(
        mean, mean - half, mean + half, _probability(mean / error, freedom), pairs, freedom, error, overlap
    )


def tied_with_best(
    figures: Mapping[Name, Mapping[Key, float]], mode: str, overlap: float = 0.0
) -> dict[Name, bool | None]:
    """Return True for each trial that may be the best: the best mean and all trials tied with it.

    K trials have two replicates or more. A trial is not tied if a one-sided test (paired or Welch's, as in
    `difference`) shows that the best by mean beats it, at a level of 0.05 / (K - 1). So the truly best of these K is
    True in at least 95 % of sweeps, as far as values are normally distributed. The K - 1 tests that could wrongly rule
    it out do so with a joint probability of at most 0.05 (Bonferroni), whichever trial has the best mean. None stands
    for a trial with fewer than two replicates, which cannot be tested.

    Args:
        figures: values of each trial by replicate.
        mode: `max` if higher is better, else `min`.
        overlap: as in `estimate`.
    """
    sign = 1.0 if mode == "max" else -1.0
    judged = {name: values for name, values in figures.items() if len(values) >= 2}
    tied: dict[Name, bool | None] = dict.fromkeys(figures)
    if not judged:
        return tied
    best = max(judged, key=lambda name: sign * fmean(judged[name].values()))
    level = 0.05 / max(len(judged) - 1, 1)
    for name, values in judged.items():
        # The tail is computed directly, since 1 - sure has no digits left if K is large.
        tied[name] = name == best or _doubt(difference(judged[best], values, overlap), sign) > level
    return tied


def _doubt(found: Difference, sign: float) -> float:
    """Return the one-sided p value of 'the first is better'."""
    if found.error is None:
        return 1.0
    if not found.error or found.freedom is None:
        return 0.0 if sign * found.mean > 0 else 1.0
    return _probability(-sign * found.mean / found.error, found.freedom)


def more_seeds(found: Difference, count: int) -> int | None:
    """Return the number of further repeats of each for a 95 % interval without 0, if mean and spread stay.

    Args:
        found: the difference now.
        count: the present number of replicates of each side, or of pairs.

    Returns:
        0 if it excludes 0 already; None if more than `MOST_SEEDS` are needed, or no estimate is possible.
    """
    if found.error is None or found.freedom is None or found.mean == 0:
        return None
    now = 1 / count + found.overlap
    for more in range(MOST_SEEDS + 1):
        total = count + more
        error = found.error * math.sqrt((1 / total + found.overlap) / now)
        freedom = found.freedom * (total - 1) / (count - 1)
        if abs(found.mean) > _quantile((1 + CONFIDENCE) / 2, freedom) * error:
            return more
    return None


def wilson(correct: float, images: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Wilson's interval for an accuracy of `correct` of `images` (at least one); of several runs, their means.

    It covers the choice of test images, not the choice of the seed.
    """
    z = normal_quantile((1 + confidence) / 2)
    share, squared = correct / images, z * z / images
    middle = (share + squared / 2) / (1 + squared)
    half = math.sqrt(share * (1 - share) * squared + squared * squared / 4) / (1 + squared)
    return min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share)  # rounding must not exclude it


def chance_lead(first: float, second: float, images: int) -> float:
    """Return the lead of one accuracy over another that the choice of images alone explains, in 95 of 100 cases.

    Both are taken as independent shares of `images`. Models measured on the same images share much of their luck, so
    the limit is cautious: a larger lead is no accident of a few images. It does not cover other seeds.
    """
    middle = (first + second) / 2
    variance = 2 * middle * (1 - middle) / images
    # Near 0 and 1 a normal distribution is too narrow: a difference of four images happens there as well.
    return max(normal_quantile((1 + CONFIDENCE) / 2) * math.sqrt(max(variance, 0.0)), FEWEST_IMAGES / images)


def normal_quantile(probability: float) -> float:
    """Return the quantile of the standard normal distribution, without SciPy, which training does not import."""
    return _OF_95 if probability == (1 + CONFIDENCE) / 2 else NormalDist().inv_cdf(probability)


def _moments(values: Sequence[float]) -> tuple[float, float | None]:
    """Return mean and sample standard deviation, exactly 0 if all are equal; no deviation for one value."""
    if not values:
        raise ValueError("there are no values to take the mean of")
    if len(values) < 2:
        return values[0], None
    if max(values) - min(values) <= _ROUNDING * max(map(abs, values)):  # differences of equal accuracies differ by bits
        return values[0], 0.0
    mean = fmean(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _quantile(probability: float, freedom: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def _probability(t: float, freedom: float) -> float:
    from scipy.special import stdtr

    return float(stdtr(freedom, t))
