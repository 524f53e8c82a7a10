"""Learning curves: a trial's metric after each epoch, over all of its seeds and folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from cnnsweep.analysis.results import Results
from cnnsweep.analysis.trials import Trial
from cnnsweep.types import EpochRecord


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A metric after one epoch: its mean over the runs of a trial, and the lowest and highest of them."""

    epoch: int
    mean: float
    low: float
    high: float
    runs: int


def learning_curve(results: Results, trial: Trial, metric: str) -> list[CurvePoint]:
    """Return the metric of a trial after each epoch, over the longest runs that did not fail.

    Runs of one trial may have reached different epochs; a mean over a shrinking set of runs would jump.
    """
    points = []
    for rows in zip(*sound_epochs(results, trial), strict=False):
        known = [value for row in rows if (value := row[metric]) is not None]
        if known:
            points.append(CurvePoint(rows[0].epoch, fmean(known), min(known), max(known), len(known)))
    return points


def sound_epochs(results: Results, trial: Trial) -> Sequence[Sequence[EpochRecord]]:
    """Return the epochs of each run that did not fail; of the longest runs alone where they differ in length."""
    sound = [results.epochs[run.name] for run in trial.runs if not run.has_failed] or [()]
    longest = max(map(len, sound))
    return [rows for rows in sound if len(rows) == longest]
