"""Metrics of K runs over the batches of an epoch: sums that stay on the device until the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple, ParamSpec, TypeVar

import torch
from torch import Tensor

from cnnsweep.errors import CnnSweepError, MetricError
from cnnsweep.metrics.accuracy import Accuracy
from cnnsweep.metrics.base import column_of, make_metric
from cnnsweep.metrics.metric import Metric
from cnnsweep.metrics.names import ACCURACY, LOSS, on_validation
from cnnsweep.metrics.scores import ScoreMetric, Scores, probabilities
from cnnsweep.types import Choice, LabelCounts

P = ParamSpec("P")
R = TypeVar("R")
Values = list[dict[str, float | None]]  # of each run, by metric

_FEWEST, _MOST = 1024, 16384  # images whose predictions are gathered
_LOGITS = 1 << 18  # of these images and one run
_SCORES = 1 << 24  # probabilities at a time


class Predictions(NamedTuple):
    """The output of K runs for a batch: logits (K, N, classes) without gradient, and targets (K, N, ...)."""

    logits: Tensor
    targets: Tensor


class MetricSums:
    """The sums of all metrics except the loss, which learners measure.

    A batch is only copied: metrics are updated when the predictions of some thousand images have gathered, since each
    small operation on the device would delay training. That number is the same for any number of runs. It is a copy
    because tensors of a step that stay would leave gaps between its activations, and the heap would grow. Metrics
    with equal sums share them.
    """

    def __init__(self, further: Sequence[Choice] = (), measured: LabelCounts | None = None, *, scores: bool = True):
        """Begin with nothing.

        Args:
            further: metrics beside loss and accuracy.
            measured: the images; a metric that cannot be computed on them is None.
            scores: whether metrics of all scores are measured.
        """
        self._metrics: dict[str, Metric] = {ACCURACY: Accuracy()}
        self._empty: list[str] = []
        for choice in further:
            self._add_metric(column_of(choice), make_metric(choice), measured, scores=scores)
        self._sums: dict[Hashable, tuple[str, Metric, list[Tensor]]] = {}
        for name, metric in self._metrics.items():
            self._sums.setdefault(_key(name, metric), (name, metric, []))
        self._targets: list[Tensor] = []
        self._gathered: Predictions | None = None
        self._images = 0  # of the gathered ones

    def _add_metric(self, name: str, metric: Metric, measured: LabelCounts | None, *, scores: bool) -> None:
        if isinstance(metric, ScoreMetric) and not scores:
            return
        if measured is not None and metric.problem(measured) is not None:
            self._empty.append(name)
            return
        self._metrics[name] = metric if measured is None else metric.for_classes(measured.classes)

    @torch.inference_mode()
    def add(self, predictions: Predictions) -> None:
        """Add a batch; nothing waits for the device."""
        images, room = predictions.logits.shape[1], gathered_images(predictions.logits.shape[-1])
        if self._images + images > room:
            self._update_gathered()
        if images >= room:
            self._update(*predictions)
            return
        if self._gathered is None:
            self._gathered = Predictions(*(_empty_for(values, room) for values in predictions))
        for gathered, values in zip(self._gathered, predictions, strict=True):
            gathered[:, self._images : self._images + images] = values
        self._images += images

    def _update_gathered(self) -> None:
        if self._gathered is None or not self._images:
            return
        gathered, images = self._gathered, self._images
        self._images = 0
        if any(isinstance(metric, ScoreMetric) for metric in self._metrics.values()):
            self._gathered = None  # it holds the scores
        self._update(*(values[:, :images] for values in gathered))

    def _update(self, logits: Tensor, targets: Tensor) -> None:
        for name, metric, parts in self._sums.values():
            sums = guarded(name, metric.update, logits, targets)
            if isinstance(metric, ScoreMetric):
                parts.append(sums)
                self._targets.append(targets)
            elif parts and sums.ndim > 1:
                parts[0] += sums
            else:  # one number per run: summed at the end, in the order of the batches
                parts.append(sums)

    @torch.inference_mode()
    def values(self, losses: Sequence[float], images: int) -> Values:
        """Return the metrics of each run by name, the loss first.

        Args:
            losses: of each run.
            images: the number of images in all batches.
        """
        self._update_gathered()
        totals: dict[Hashable, Tensor] = {
            key: parts[0].cpu() if len(parts) == 1 else torch.stack(parts).sum(0).cpu()
            for key, (_, metric, parts) in self._sums.items()
            if not isinstance(metric, ScoreMetric)
        }
        of_scores = self._of_scores()
        found: Values = [{LOSS: loss} for loss in losses]
        for name, metric in self._metrics.items():
            if name in of_scores:
                values = of_scores[name]
            else:
                values = guarded(name, metric.compute, totals[_key(name, metric)], images).tolist()
            for of_run, value in zip(found, values, strict=True):
                of_run[name] = value if math.isfinite(value) else None
        return [{**of_run, **dict.fromkeys(self._empty)} for of_run in found]

    def _of_scores(self) -> Mapping[str, list[float]]:
        """Return the metrics of all scores of each run by name; of a few runs at a time, to bound the memory."""
        metrics = {name: metric for name, metric in self._metrics.items() if isinstance(metric, ScoreMetric)}
        found: dict[str, list[float]] = {name: [] for name in metrics}
        if not metrics:
            return found
        ((_, _, parts),) = [one for one in self._sums.values() if isinstance(one[1], ScoreMetric)]
        for runs in _few_runs(parts):
            logits, targets = (_joined([part[runs] for part in all_runs]) for all_runs in (parts, self._targets))
            scores = Scores(probabilities(logits, is_multi_label=targets.ndim == logits.ndim), targets)
            for name, metric in metrics.items():
                found[name] += guarded(name, metric.of_shared, scores).tolist()
        return found


def gathered_images(classes: int) -> int:
    """Return the number of images whose predictions are gathered before metrics are updated."""
    return min(max(_LOGITS // classes, _FEWEST), _MOST)


def joined(training: Values, validation: Values | None, columns: Sequence[str]) -> Values:
    """Return the metrics of each run in the order of the columns; one that was not measured is None."""
    rows: Values = []
    for position, own in enumerate(training):
        held_out = {} if validation is None else validation[position]
        values = {**own, **{on_validation(name): value for name, value in held_out.items()}}
        rows.append({name: values.get(name) for name in columns})
    return rows


def _key(name: str, metric: Metric) -> Hashable:
    return ("of one", name) if metric.shared is None else ("shared", metric.shared)


def _empty_for(values: Tensor, images: int) -> Tensor:
    """Return room for the predictions of some images, of the type and device of a batch's (K, N, ...)."""
    return torch.empty((values.shape[0], images, *values.shape[2:]), dtype=values.dtype, device=values.device)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), 1)


def _few_runs(parts: Sequence[Tensor]) -> Iterator[slice]:
    runs, of_run = len(parts[0]), sum(part[0].numel() for part in parts)
    at_once = max(1, _SCORES // max(of_run, 1))
    return (slice(first, first + at_once) for first in range(0, runs, at_once))


def guarded(name: str, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a metric's code.

    Raises:
        MetricError: it raised.
    """
    try:
        return call(*args, **kwargs)
    except MetricError as error:
        raise MetricError(f"metric {name}: {error}") from error
    except (CnnSweepError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise MetricError(f"metric {name}: {type(error).__name__}: {error}") from error
