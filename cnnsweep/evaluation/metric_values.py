"""Metrics of an evaluation with their intervals, over all measured images of one run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnsweep.analysis.class_counts import ends_of, score_of_class
from cnnsweep.analysis.confusion import Confused
from cnnsweep.analysis.statistics import wilson
from cnnsweep.evaluation.bootstrap import (
    Interval,
    confusion_interval,
    draw_confusions,
    join,
    scores_interval,
    sums_interval,
)
from cnnsweep.evaluation.calibration_interval import bins_of, calibration_interval
from cnnsweep.evaluation.mistakes import ImageLosses, most_likely_other, with_mistakes
from cnnsweep.evaluation.rank_interval import rank_interval
from cnnsweep.metrics.base import Metric, column_of, make_metric
from cnnsweep.metrics.confusion import ConfusionMetric
from cnnsweep.metrics.likelihood import CalibrationError
from cnnsweep.metrics.names import ACCURACY, range_of
from cnnsweep.metrics.scores import ScoreMetric, probabilities
from cnnsweep.training.metric_sums import guarded
from cnnsweep.types import Choice, LabelCounts

Progress = Callable[[str, int, int], None]

# Those that are the accuracy where an image has one label.
_ACCURACIES = frozenset((ACCURACY, "micro_f1", "micro_precision", "micro_recall", "weighted_recall"))
_MOST_SUMS = 1 << 26  # numbers that are kept for the interval of one metric
ACTIVITY = "measuring intervals"


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A metric of a run.

    Attributes:
        interval: its 95 % interval over the choice of the images; None if it is unknown.
        baseline: the value of always giving the most frequent answer; None if there is none.
    """

    value: float
    interval: Interval | None = None
    baseline: float | None = None


@dataclass(frozen=True, slots=True)
class Outputs:
    """The output of a model for all images: logits (N, classes), kept if needed, and labels (N,)."""

    logits: Tensor | None
    labels: Tensor
    confused: Confused


class MetricValues:
    """The metrics of one run beside its loss.

    Attributes:
        missing: for each metric that cannot be computed on these images, the reason.
    """

    def __init__(self, choices: Iterable[Choice], counts: LabelCounts) -> None:
        """Begin with nothing.

        Args:
            counts: the images that are measured.

        Raises:
            UsageError: the code of a metric cannot be imported, or it is of a class that the data do not have.
        """
        self.missing: dict[str, str] = {}
        self._counts = counts
        self._metrics: dict[str, Metric] = {}
        for choice in choices:
            name, metric = column_of(choice), make_metric(choice).for_classes(counts.classes)
            if (reason := metric.problem(counts)) is not None:
                self.missing[name] = reason
            else:
                self._metrics[name] = metric
        self._sums: dict[str, list[Tensor]] = {name: [] for name, one in self._metrics.items() if _is_of_sums(one)}
        self._each: dict[str, list[Tensor]] = {name: [] for name in self._sums}
        self._mistaken: dict[str, list[Tensor]] = {name: [] for name in self._sums}
        self._is_wrong: list[Tensor] = []

    @property
    def needs_logits(self) -> bool:
        """True if the logits of all images have to be kept."""
        return any(isinstance(metric, ScoreMetric) for metric in self._metrics.values())

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: logits (N, classes) and labels (N,); nothing waits for the device."""
        other = most_likely_other(logits, labels) if self._sums else labels
        self._is_wrong.append(logits.argmax(1) != labels)
        for name, parts in self._sums.items():
            update = self._metrics[name].update
            parts.append(guarded(name, update, logits[None], labels[None]))
            if math.prod(parts[0].shape) * self._counts.images <= _MOST_SUMS:
                # Each image as a run of its own, for the bootstrap.
                self._each[name].append(guarded(name, update, logits[:, None], labels[:, None]))
                self._mistaken[name].append(guarded(name, update, logits[:, None], other[:, None]))

    def values(
        self, outputs: Outputs, progress: Progress | None = None, *, has_intervals: bool = True
    ) -> Mapping[str, MetricValue]:
        """Return the metrics by name, those with a finite value; the others join `missing`."""
        found: dict[str, MetricValue] = {}
        is_shown = False
        drawn: list[Tensor] = []  # once for all metrics of the confusion matrix
        for number, (name, metric) in enumerate(self._metrics.items()):
            if progress is not None and (is_shown := is_shown or _is_slow(metric, outputs)):
                progress(ACTIVITY, number, len(self._metrics))
            value = self._value(name, metric, outputs)
            if not math.isfinite(value):
                self.missing[name] = "it is not a finite number"
                continue
            interval = self._interval(name, metric, value, outputs, drawn) if has_intervals else None
            found[name] = MetricValue(value, interval, guarded(name, metric.baseline, self._counts))
        if progress is not None and is_shown:
            progress(ACTIVITY, len(self._metrics), len(self._metrics))
        return found

    def _value(self, name: str, metric: Metric, outputs: Outputs) -> float:
        if isinstance(metric, ConfusionMetric):
            return float(guarded(name, metric.of_confusion, _matrix(outputs.confused)[None]))
        if isinstance(metric, ScoreMetric):
            return float(guarded(name, metric.of_scores, _likely(outputs)[None], outputs.labels[None]))
        sums = torch.stack(self._sums[name]).sum(0).cpu()
        return float(guarded(name, metric.compute, sums, outputs.confused.images))

    def _interval(
        self, name: str, metric: Metric, value: float, outputs: Outputs, drawn: list[Tensor]
    ) -> Interval | None:
        if name in _ACCURACIES:
            return wilson(outputs.confused.correct, outputs.confused.images)
        if (of := score_of_class(name)) is not None and of[1] in outputs.confused.classes:
            # Unknown for the precision of a class that is never answered: it has no spread, but may not be 0.
            return ends_of(outputs.confused.of_class(outputs.confused.classes.index(of[1])), of[0])
        if isinstance(metric, ConfusionMetric):
            if not drawn:
                drawn.append(draw_confusions(_matrix(outputs.confused)))
            return guarded(name, confusion_interval, metric, value, drawn[0])
        if isinstance(metric, ScoreMetric):
            return guarded(name, score_interval, metric, name, _likely(outputs), outputs.labels, value)
        if not self._each[name]:
            return None
        return self._interval_of_sums(name, metric, value, outputs.labels.cpu())

    def _interval_of_sums(self, name: str, metric: Metric, value: float, labels: Tensor) -> Interval | None:
        each, limits = torch.cat(self._each[name]).cpu(), range_of(name)
        if each.ndim == 1 and is_share_of_images(each, value):
            return wilson(int(each.sum()), len(each))
        if isinstance(metric, CalibrationError):
            return calibration_interval(*bins_of(each))
        found = guarded(name, sums_interval, metric.compute, each, labels, value, limits)
        own, mistaken = (
            guarded(name, metric.compute, sums.cpu(), 1).double() for sums in (each, torch.cat(self._mistaken[name]))
        )
        if not math.isclose(float(own.mean()), value, rel_tol=1e-6):
            return found  # not a mean over the images
        return with_mistakes(found, value, ImageLosses(own, mistaken, torch.cat(self._is_wrong).cpu()), limits)


def _is_of_sums(metric: Metric) -> bool:
    return not isinstance(metric, ConfusionMetric | ScoreMetric)


def score_interval(metric: ScoreMetric, name: str, likely: Tensor, labels: Tensor, value: float) -> Interval | None:
    """Return the interval of a metric of all scores: of resamples, and of AUROC and average precision at least
    the one that follows from the numbers of images.
    """
    drawn = scores_interval(metric.of_scores, likely, labels, value, range_of(name))
    return join(drawn, rank_interval(metric, likely, labels))


def _is_slow(metric: Metric, outputs: Outputs) -> bool:
    return isinstance(metric, ScoreMetric) and outputs.confused.images > 1000


def is_share_of_images(each: Tensor, value: float) -> bool:
    """True if the metric is the share of images with a 1, all others having 0."""
    is_binary = bool(((each == 0) | (each == 1)).all())
    return is_binary and math.isclose(float(each.double().mean()), value, rel_tol=1e-9, abs_tol=1e-12)


def _matrix(confused: Confused) -> Tensor:
    return torch.tensor(confused.confusion, dtype=torch.float64)


def _likely(outputs: Outputs) -> Tensor:
    assert outputs.logits is not None
    return probabilities(outputs.logits, is_multi_label=False)
