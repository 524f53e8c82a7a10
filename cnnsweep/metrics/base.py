"""Contract of metrics, and their registry.

A metric is a class in one file. It sums over a batch for K runs at once, on the device; the sums of an epoch are read
once, at its end:

    class TopK(Metric, name="top_k"):
        \"\"\"Share of images whose class is among the k most likely.\"\"\"

        k: int = 5

        @property
        def column(self) -> str:
            return f"top_{self.k}"

        def update(self, logits, targets):
            found = logits.topk(self.k).indices == targets[..., None]
            return found.any(-1).sum(-1)  # (K,)

        def compute(self, sums, images):
            return sums.double() / images

To add one, write a file in this folder, name your own under `metrics:` in a sweep file as `file.py:Name`, or declare an
entry point in the group `cnnsweep.metrics`. Every metric is measured on training images while the weights move, and on
validation images after the epoch, then with the prefix `val_`. A function of all probabilities will do too, see
`function_metric.py`.

The loss is not such a class: learners measure it, each run by its own loss function, because the optimizer needs it.
"""

from __future__ import annotations

from collections.abc import Iterable

from cnnsweep.metrics.function_metric import metric_of_function
from cnnsweep.metrics.metric import Metric
from cnnsweep.metrics.names import MetricInfo
from cnnsweep.metrics.scores import ScoreMetric
from cnnsweep.plugins import is_reference
from cnnsweep.registry import Registry
from cnnsweep.types import Choice

__all__ = ["METRICS", "Metric", "column_of", "describe_metrics", "make_metric"]

METRICS = Registry("metric", "metrics", Metric, of_code=metric_of_function, leading=2)


def make_metric(choice: Choice) -> Metric:
    """Return the metric that a sweep file names.

    Raises:
        UsageError: it is unknown, its code cannot be imported, or it does not take its arguments.
    """
    return METRICS.make(choice)


def column_of(choice: Choice) -> str:
    """Return the name in tables; of a user's code the name of class or function, so that it is not imported."""
    return choice.name.rpartition(":")[2] if is_reference(choice.name) else make_metric(choice).column or choice.name


def describe_metrics(choices: Iterable[Choice], *, is_held_out: bool) -> tuple[MetricInfo, ...]:
    """Return the properties of metrics for journal and tables; imports their code.

    Args:
        is_held_out: images are held out: then metrics of all scores are measured on these alone.

    Raises:
        UsageError: see `make_metric`.
    """
    return tuple(_described(column_of(choice), make_metric(choice), is_held_out) for choice in choices)


def _described(column: str, metric: Metric, is_held_out: bool) -> MetricInfo:
    needs_scores = isinstance(metric, ScoreMetric)
    return MetricInfo(
        column,
        metric.label or column,
        metric.greater_is_better,
        on_training=not (needs_scores and is_held_out),
        on_validation=is_held_out or not needs_scores,
    )
