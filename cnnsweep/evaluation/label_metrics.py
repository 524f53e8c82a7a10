"""Metrics of an evaluation with several labels an image: at 0.5, and at the chosen thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cnnsweep.analysis.class_counts import ClassCounts, ends_of, score_of_class
from cnnsweep.analysis.statistics import wilson
from cnnsweep.evaluation.bootstrap import FEW_RESAMPLES, Interval, batches_of_scores, sums_interval
from cnnsweep.evaluation.metric_values import ACTIVITY, MetricValue, Progress, is_share_of_images, score_interval
from cnnsweep.metrics.base import Metric, column_of, make_metric
from cnnsweep.metrics.names import ACCURACY, ALWAYS, AT_THRESHOLDS, range_of
from cnnsweep.metrics.scores import ScoreMetric
from cnnsweep.training.metric_sums import guarded
from cnnsweep.types import Choice, LabelCounts

# Measured in every evaluation of several labels beside loss and accuracy.
ALSO_MEASURED = ("average_precision", "macro_f1", "micro_f1")
_ALSO_AT_THRESHOLDS = ("macro_f1", "micro_f1", ACCURACY)
_MOST_SUMS = 1 << 26  # numbers that are kept for the interval of one metric
_MOST_SORTS, _MOST_SORTED = 1 << 16, 1 << 30  # sorts for one interval, and numbers in all of them: a minute


@dataclass(frozen=True, slots=True)
class LabelOutputs:
    """The output of a model for all images, on the CPU: logits, their probabilities, and labels, each (N, classes)."""

    logits: Tensor
    probabilities: Tensor
    labels: Tensor


@dataclass(slots=True)
class LabelMetrics:
    """Metrics by name, and for those without a value the reason."""

    values: dict[str, MetricValue] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def label_metrics(
    choices: Sequence[Choice],
    outputs: LabelOutputs,
    thresholds: Sequence[float],
    counts: LabelCounts,
    progress: Progress | None = None,
) -> LabelMetrics:
    """Return the usual metrics and those of the choices, each with its 95 % interval over the choice of the images.

    Raises:
        UsageError: the code of a metric cannot be imported, or it is of a class that the data do not have.
        MetricError: a metric raised.
    """
    found = LabelMetrics()
    named = with_usual(choices)
    for number, choice in enumerate(named):
        if progress is not None:
            progress(ACTIVITY, number, len(named))
        name, metric = column_of(choice), make_metric(choice).for_classes(counts.classes)
        _add(found, name, metric, outputs, counts)
    # Only the sign of a logit tells whether a label is given.
    shifted = outputs.probabilities - torch.tensor(thresholds, dtype=outputs.probabilities.dtype)
    at_thresholds = LabelOutputs(shifted, outputs.probabilities, outputs.labels)
    for name in _ALSO_AT_THRESHOLDS:
        _add(found, name + AT_THRESHOLDS, make_metric(Choice(name)), at_thresholds, counts)
    if progress is not None:
        progress(ACTIVITY, len(named), len(named))
    return found


def with_usual(metrics: Sequence[Choice]) -> list[Choice]:
    """Return the metrics of an evaluation: the usual ones first, none twice, without loss and accuracy."""
    by_name = {column_of(choice): choice for choice in (*map(Choice, ALSO_MEASURED), *metrics)}
    return [choice for name, choice in by_name.items() if name not in ALWAYS]


def _add(found: LabelMetrics, name: str, metric: Metric, outputs: LabelOutputs, counts: LabelCounts) -> None:
    """Measure a metric, unless it has no value."""
    if (reason := metric.problem(counts)) is not None:
        found.missing[name] = reason
        return
    value = _value(name, metric, outputs)
    if not math.isfinite(value):
        found.missing[name] = "it is not a finite number"
        return
    baseline = None if name.endswith(AT_THRESHOLDS) else guarded(name, metric.baseline, counts)
    found.values[name] = MetricValue(value, _interval(name, metric, value, outputs, counts), baseline)


def _value(name: str, metric: Metric, outputs: LabelOutputs) -> float:
    if isinstance(metric, ScoreMetric):
        return float(guarded(name, metric.of_scores, outputs.probabilities[None], outputs.labels[None]))
    sums = guarded(name, metric.update, outputs.logits[None], outputs.labels[None])
    return float(guarded(name, metric.compute, sums, len(outputs.labels)))


def _interval(name: str, metric: Metric, value: float, outputs: LabelOutputs, counts: LabelCounts) -> Interval | None:
    labels = outputs.labels
    if (of := score_of_class(name)) is not None and of[1] in counts.classes:
        given = outputs.logits > 0
        return ends_of(counts_of_labels(given, labels, counts.classes)[counts.classes.index(of[1])], of[0])
    limits = range_of(name)
    if isinstance(metric, ScoreMetric):
        if _is_long(outputs.probabilities):
            return None
        return guarded(name, score_interval, metric, name, outputs.probabilities, labels, value)
    first = guarded(name, metric.update, outputs.logits[:1, None], labels[:1, None])
    if first.numel() * len(labels) > _MOST_SUMS:
        return None
    each = guarded(name, metric.update, outputs.logits[:, None], labels[:, None])  # each image as a run of its own
    if each.ndim == 1 and is_share_of_images(each, value):
        return wilson(int(each.sum()), len(each))
    return guarded(name, sums_interval, metric.compute, each, labels, value, limits)


def _is_long(scores: Tensor) -> bool:
    """True if resampling scores (N, classes) takes minutes."""
    sorts = scores.shape[1] * batches_of_scores(scores)
    return sorts > _MOST_SORTS or FEW_RESAMPLES * scores.numel() > _MOST_SORTED


def counts_of_labels(given: Tensor, labels: Tensor, classes: Sequence[str]) -> list[ClassCounts]:
    """Return the counts of each label.

    Args:
        given: (N, classes) bool, the labels that the model gives.
        labels: (N, classes) of 0 and 1.
    """
    has = labels > 0
    counts = torch.stack([has.sum(0), given.sum(0), (has & given).sum(0)], 1).tolist()
    return [ClassCounts(name, *row) for name, row in zip(classes, counts, strict=True)]


def average_precisions(outputs: LabelOutputs) -> tuple[float | None, ...]:
    """Return the average precision of each label; None where no image has it."""
    metric = make_metric(Choice("average_precision"))
    assert isinstance(metric, ScoreMetric)
    found = []
    for label in range(outputs.labels.shape[1]):
        of_label = (part[None, :, label : label + 1] for part in (outputs.probabilities, outputs.labels))
        value = float(metric.of_scores(*of_label))
        found.append(value if math.isfinite(value) else None)
    return tuple(found)
