"""Checks of metrics before training: on random logits, with the labels that are measured, and by their classes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from cnnsweep.config.own_code import attribute_value
from cnnsweep.config.schema import SweepSpec
from cnnsweep.datasets.label_counts import count_labels
from cnnsweep.errors import CnnSweepError, MetricError, Problem, SpecError, UsageError
from cnnsweep.formatting.numbers import count_text, duration_text
from cnnsweep.metrics.base import Metric, column_of, make_metric
from cnnsweep.metrics.function_metric import GREATER, FunctionMetric, place_of
from cnnsweep.metrics.names import without_prefix
from cnnsweep.metrics.scores import ScoreMetric, probabilities
from cnnsweep.plugins import is_reference
from cnnsweep.types import Choice

_MOST_SCORES = 1 << 22  # random probabilities of a check
_SLOW_S = 0.2  # from which a function of a run's predictions is called slow


def check_metrics(spec: SweepSpec, labels: Sequence[Tensor], classes: Sequence[str]) -> None:
    """Check all metrics of a sweep.

    Args:
        labels: those that are measured, of each fold.
        classes: the names of the classes.

    Raises:
        UsageError: one names an unknown class, raises, returns another shape, mixes the runs, or returns no finite
            number; or the one that decides cannot be computed. With the place in the sweep file where it is known.
    """
    for choice in spec.metrics:
        metric = _for_classes(spec, choice, classes)
        if is_reference(choice.name):
            _check_own(spec, choice, metric, labels, len(classes))
    for text in _problems(spec, labels, classes, is_deciding=True):
        raise _error(spec, without_prefix(spec.metric), text)


def metric_warnings(spec: SweepSpec, labels: Sequence[Tensor], classes: Sequence[str]) -> list[str]:
    """Return a line about each metric that is recorded and cannot be computed on the measured images, or is slow."""
    return [*_problems(spec, labels, classes, is_deciding=False), *_slow_lines(spec, labels[0], len(classes))]


def _slow_lines(spec: SweepSpec, labels: Tensor, classes: int) -> Iterator[str]:
    """Yield a line about each function that takes long; after the check its imports and caches are warm."""
    few = _few_labels(labels, classes)
    for choice in spec.metrics:
        if not is_reference(choice.name) or not isinstance(metric := make_metric(choice), ScoreMetric):
            continue
        likely = _random_probabilities(few, classes)
        start = time.perf_counter()
        _of_scores(choice, metric, likely, few)
        seconds = (time.perf_counter() - start) * len(labels) / len(few)
        if seconds >= _SLOW_S:
            took = f"takes {duration_text(seconds)} for {count_text(len(labels), 'image')}"
            yield f"metric {column_of(choice)}: {took}, and is called for every run after every epoch"


def _problems(spec: SweepSpec, labels: Sequence[Tensor], classes: Sequence[str], *, is_deciding: bool) -> list[str]:
    images = "held-out" if spec.validation else "training"
    counts = [count_labels(one, classes) for one in labels]
    found = []
    for choice in spec.metrics:
        if (choice == spec.deciding) is not is_deciding:
            continue
        metric = make_metric(choice)
        reasons = {number: reason for number, one in enumerate(counts) if (reason := metric.problem(one)) is not None}
        if not reasons:
            continue
        folds = f" of fold {', '.join(map(str, reasons))}" if spec.folds is not None and len(counts) > 1 else ""
        where = f"cannot be computed on the {images} images{folds}: {next(iter(reasons.values()))}"
        found.append(where if is_deciding else f"metric {column_of(choice)}: {where}; its column stays empty there")
    return found


def _for_classes(spec: SweepSpec, choice: Choice, classes: Sequence[str]) -> Metric:
    try:
        return make_metric(choice).for_classes(classes)
    except SpecError:
        raise
    except UsageError as error:
        raise _error(spec, column_of(choice), str(error)) from None


def _error(spec: SweepSpec, column: str, text: str) -> UsageError:
    place = spec.places.get(column)
    if place is None:
        return UsageError(f"metric {column}: {text}")
    return SpecError([Problem(place.file, place.line, place.column, f"{place.message}{column} {text}")])


def _check_own(spec: SweepSpec, choice: Choice, metric: Metric, labels: Sequence[Tensor], classes: int) -> None:
    if isinstance(metric, FunctionMetric):
        _check_direction(spec, choice, metric)
    if isinstance(metric, ScoreMetric):
        for of_fold in labels:
            _check_scores(choice, metric, _few_labels(of_fold, classes), classes)
    else:
        _check_sums(choice, metric, labels[0].ndim > 1, classes)


def _check_direction(spec: SweepSpec, choice: Choice, metric: FunctionMetric) -> None:
    """Refuse a direction that differs from the mode because the source does not show it."""
    if choice != spec.deciding or attribute_value(choice.name, GREATER) is not None:
        return
    if hasattr(metric.function, GREATER) and (spec.mode == "max") is not metric.greater_is_better:
        mode = "max" if metric.greater_is_better else "min"
        text = f"its attribute {GREATER} is {metric.greater_is_better}, which the source does not show"
        raise UsageError(f"metric {choice.name}: {place_of(None, metric.function)}: {text}; write `mode: {mode}`")


def _few_labels(labels: Tensor, classes: int) -> Tensor:
    """Return as many labels as can be checked fast, of all classes that occur where possible."""
    most = max(_MOST_SCORES // classes, 1)
    if len(labels) <= most:
        return labels
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return labels[order[:most]]


def _check_scores(choice: Choice, metric: ScoreMetric, labels: Tensor, classes: int) -> None:
    values = _of_scores(choice, metric, _random_probabilities(labels, classes), labels)
    if values.shape != (1,):
        raise UsageError(f"metric {choice.name}: returned values {tuple(values.shape)} for 1 run, allowed are (1,)")
    if not torch.isfinite(values).all():
        where = f"{place_of(None, metric.function)}: " if isinstance(metric, FunctionMetric) else ""
        found = f"returned {values.item()} for random probabilities of {len(labels):,} measured images"
        raise UsageError(f"metric {choice.name}: {where}{found}, allowed is a finite number")


def _of_scores(choice: Choice, metric: ScoreMetric, likely: Tensor, labels: Tensor) -> Tensor:
    (values,) = _tried(choice, lambda: [metric.of_scores(likely, labels[None])])
    return values


def _random_probabilities(labels: Tensor, classes: int) -> Tensor:
    logits = torch.randn(1, len(labels), classes, generator=torch.Generator().manual_seed(0))
    return probabilities(logits, is_multi_label=labels.ndim > 1)


def _check_sums(choice: Choice, metric: Metric, is_multi_label: bool, classes: int) -> None:
    """Try a metric on random logits of three runs."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 8, classes, generator=random)
    targets = torch.randint(0, classes, (3, 8), generator=random)
    if is_multi_label:
        targets = torch.randint(0, 2, (3, 8, classes), generator=random, dtype=torch.uint8)

    def measure() -> list[Tensor]:
        sums = metric.update(logits, targets)
        alone = [metric.update(logits[k : k + 1], targets[k : k + 1]) for k in range(3)]
        return [sums, metric.compute(sums + sums, 16), *alone]

    sums, values, *alone = _tried(choice, measure)
    place = f"metric {choice.name}"
    if sums.shape[:1] != (3,) or values.shape != (3,):
        found = f"sums {tuple(sums.shape)} and values {tuple(values.shape)}"
        raise UsageError(f"{place}: returned {found} for 3 runs, allowed are sums (3, ...) and values (3,)")
    if not torch.allclose(sums.double(), torch.cat(alone).double(), rtol=1e-5, atol=1e-6, equal_nan=True):
        raise UsageError(f"{place}: the sums of a run depend on other runs of the batch; compute along the last axes")


def _tried(choice: Choice, call: Callable[[], list[Tensor]]) -> list[Tensor]:
    """Call a metric's code.

    Raises:
        UsageError: it raised.
    """
    try:
        return call()
    except MetricError as error:
        raise UsageError(f"metric {choice.name}: {error}") from error
    except CnnSweepError:
        raise
    except Exception as error:
        raise UsageError(f"metric {choice.name}: {type(error).__name__}: {error}") from error
