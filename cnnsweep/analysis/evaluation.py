"""Evaluations: one checkpoint, or all seeds and folds of a trial, measured on one part of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from cnnsweep.analysis.confusion import Confused
from cnnsweep.analysis.intervals import within
from cnnsweep.analysis.labelled import Labelled
from cnnsweep.analysis.run_evaluation import WrongImage
from cnnsweep.analysis.statistics import Estimate, estimate, wilson
from cnnsweep.metrics.names import ACCURACY, LOSS

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Evaluation(Confused):
    """A checkpoint measured on one part of its data set.

    Attributes:
        split: test, val or train.
        loss: mean of the run's own loss, without label smoothing.
        confusion: counts, one row a true class, one column a predicted class.
        notes: warnings about the metrics.
        wrong: some of the misclassified images, in turns of one from each class.
        metrics: further metrics by name.
        intervals: 95 % intervals over the choice of the images, by metric; also of accuracy and loss.
        baselines: values of always giving the most frequent answer, by metric.
        objective: the metric by which the sweep selects, without prefix; None if unknown.
        measured_runs: the number of runs that were measured, whose counts are summed.
        tta: test-time augmentation, such as flip; None without any.
    """

    checkpoint: str
    run: str
    epoch: int
    split: str
    loss: float
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    params: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    wrong: tuple[WrongImage, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    baselines: Mapping[str, float] = field(default_factory=dict)
    objective: str | None = None
    measured_runs: int = 1
    tta: str | None = None

    @property
    def runs(self) -> int:
        return self.measured_runs

    @property
    def accuracy(self) -> float:
        return self.correct / self.images

    @property
    def values(self) -> dict[str, float]:
        """All metrics by name: the one that decides, the accuracy, further ones, the loss."""
        known = {ACCURACY: self.accuracy, **self.metrics, LOSS: self.loss}
        decides = self.decides
        return {decides: known[decides], **known}

    @property
    def decides(self) -> str:
        """The metric that is shown first: the sweep's deciding one, or the accuracy."""
        known = (ACCURACY, LOSS, *self.metrics)
        return self.objective if self.objective in known and self.objective is not None else ACCURACY

    def interval(self, metric: str) -> Interval | None:
        """Return the 95 % interval of a metric over the choice of the images; None if it is unknown."""
        return wilson(self.correct, self.images) if metric == ACCURACY else self.intervals.get(metric)

    def summed(self, others: Sequence[Evaluation]) -> Evaluation:
        """Return the sum of the counts of evaluations, this one among them; all else is this one's."""
        tables = zip(*(one.confusion for one in others), strict=True)
        return replace(self, confusion=tuple(tuple(map(sum, zip(*rows, strict=True))) for rows in tables))

    @property
    def known_intervals(self) -> dict[str, Interval]:
        """The intervals of all metrics that have one, by name."""
        return {name: ends for name in self.values if (ends := self.interval(name)) is not None}


@dataclass(frozen=True, slots=True)
class LabelEvaluation(Labelled, Evaluation):
    """A checkpoint measured on images with several labels; its confusion matrix is empty."""

    total: int = 0
    right: int = 0
    thresholds: tuple[float, ...] = ()
    counts: tuple[tuple[int, int, int], ...] = ()
    average_precision: tuple[float | None, ...] = ()

    def summed(self, others: Sequence[Evaluation]) -> Evaluation:
        """Return the sum of the counts, and the mean average precision of each label."""
        runs = [one for one in others if isinstance(one, LabelEvaluation)]
        counts = [
            tuple(map(sum, zip(*of_label, strict=True))) for of_label in zip(*(one.counts for one in runs), strict=True)
        ]
        precision = zip(*(one.average_precision for one in runs), strict=True)
        return replace(
            self,
            total=sum(one.total for one in runs),
            right=sum(one.right for one in runs),
            thresholds=self.thresholds if all(one.thresholds == self.thresholds for one in runs) else (),
            counts=tuple((images, predicted, correct) for images, predicted, correct in counts),
            average_precision=tuple(_mean(of_label) for of_label in precision),
        )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


@dataclass(frozen=True, slots=True)
class TrialEvaluation:
    """A trial measured by the checkpoints of all its seeds and folds.

    Attributes:
        evaluations: one per run, all on the same images.
        overlap: the overlap of the folds' training images, see `statistics.estimate`.
        is_refit: these were trained on training and validation images together.
    """

    trial_id: str
    evaluations: tuple[Evaluation, ...]
    overlap: float = 0.0
    notes: tuple[str, ...] = ()
    is_refit: bool = False

    @property
    def accuracy(self) -> Estimate:
        """The mean accuracy, see `estimate`."""
        return self.estimate(ACCURACY)

    def estimate(self, metric: str) -> Estimate:
        """Return the mean over the runs, with the 95 % interval of the mean over all seeds, within possible values."""
        found = estimate([one.values[metric] for one in self.evaluations], self.overlap)
        if found.low is None or found.high is None:
            return found
        return replace(found, low=within(metric, found.low), high=within(metric, found.high))

    @property
    def estimates(self) -> dict[str, Estimate]:
        """The mean of each metric that all runs have, see `estimate`."""
        return {name: self.estimate(name) for name in self.together.values}

    @property
    def together(self) -> Evaluation:
        """All runs as one evaluation: their counts summed, their losses and further metrics averaged.

        It has no intervals of its own but for a single run; those over the seeds are in `estimates`.
        """
        first, *others = self.evaluations
        return replace(
            first.summed(self.evaluations),
            loss=fmean(one.loss for one in self.evaluations),
            notes=(*self.notes, *first.notes),
            metrics={name: fmean(one.metrics[name] for one in self.evaluations) for name in self._common_metrics},
            intervals={} if others else first.intervals,
            measured_runs=len(self.evaluations),
        )

    @property
    def _common_metrics(self) -> list[str]:
        return [name for name in self.evaluations[0].metrics if all(name in one.metrics for one in self.evaluations)]
