"""Metrics of K runs over the batches of an epoch: sums that stay on the device until the end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, ParamSpec

import torch
from torch import Tensor

from cnnsweep.errors import CnnSweepError, MetricError
from cnnsweep.metrics.accuracy import Accuracy
from cnnsweep.metrics.base import Metric, column_of, make_metric
from cnnsweep.metrics.names import ACCURACY, LOSS, on_validation, recorded_names
from cnnsweep.types import Choice

P = ParamSpec("P")
Values = list[dict[str, float | None]]  # of each run, by metric


class Predictions(NamedTuple):
    """The output of K runs for a batch: logits (K, N, classes) without gradient, and targets (K, N, ...)."""

    logits: Tensor
    targets: Tensor


class MetricSums:
    """The sums of all metrics except the loss, which learners measure."""

    def __init__(self, further: Iterable[Choice]) -> None:
        self._metrics: list[tuple[str, Metric]] = [(ACCURACY, Accuracy())]
        self._metrics += [(column_of(choice), make_metric(choice)) for choice in further]
        self._parts: list[list[Tensor]] = [[] for _ in self._metrics]

    @torch.inference_mode()
    def add(self, predictions: Predictions) -> None:
        """Add a batch; nothing waits for the device."""
        for (name, metric), parts in zip(self._metrics, self._parts, strict=True):
            sums = _guarded(name, metric.update, *predictions)
            if parts and sums.ndim > 1:
                parts[0] += sums
            else:  # one number per run: summed at the end, in the order of the batches
                parts.append(sums)

    def values(self, losses: Sequence[float], images: int) -> Values:
        """Return the metrics of each run by name, the loss first.

        Args:
            losses: of each run.
            images: the number of images in all batches.
        """
        found: Values = [{LOSS: loss} for loss in losses]
        for (name, metric), parts in zip(self._metrics, self._parts, strict=True):
            total = torch.stack(parts).sum(0).cpu() if len(parts) > 1 else parts[0].cpu()
            values = _guarded(name, metric.compute, total, images).tolist()
            for of_run, value in zip(found, values, strict=True):
                of_run[name] = value if math.isfinite(value) else None
        return found


def joined(training: Values, validation: Values | None) -> Values:
    """Return the metrics of each run in the order of the columns; metrics on validation images are None without any."""
    rows: Values = []
    for position, own in enumerate(training):
        held_out = {} if validation is None else validation[position]
        values = {**own, **{on_validation(name): held_out.get(name) for name in own}}
        rows.append({name: values[name] for name in recorded_names(own)})
    return rows


def _guarded(name: str, call: Callable[P, Tensor], *args: P.args, **kwargs: P.kwargs) -> Tensor:
    """Call a metric's code.

    Raises:
        MetricError: it raised.
    """
    try:
        return call(*args, **kwargs)
    except (CnnSweepError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise MetricError(f"metric {name}: {type(error).__name__}: {error}") from error
