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
validation images after the epoch, then with the prefix `val_`.

The loss is not such a class: learners measure it, each run by its own loss function, because the optimizer needs it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import ValidationError

from cnnsweep.errors import UsageError
from cnnsweep.metrics.names import MetricInfo
from cnnsweep.plugins import is_reference
from cnnsweep.registry import Component, Registry
from cnnsweep.types import Choice, LabelCounts

if TYPE_CHECKING:
    from torch import Tensor


class Metric(Component):
    """Base of metrics.

    Attributes:
        greater_is_better: decides the default of `mode`.
        label: the name in words, for axes and headings; by default the name in tables.
        shared: the key of the sums: metrics with equal keys have equal sums, which are made once; None for sums of its
            own.
    """

    greater_is_better: ClassVar[bool] = True
    label: ClassVar[str] = ""
    shared: ClassVar[Hashable] = None

    @property
    def column(self) -> str:
        """The name in tables, where it depends on the arguments; empty for the name in the sweep file."""
        return ""

    def update(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the sums of a batch, which are added over the batches of an epoch.

        Args:
            logits: (K, N, classes), on the device, without gradient.
            targets: (K, N) int64; with several labels an image (K, N, classes) of 0 and 1.

        Returns:
            (K, ...) of any further shape, such as (K, classes, classes) for a confusion matrix. Slice k depends on run
            k alone. Nothing may wait for the device: no `.item()`, no `.cpu()`, no `if` on a tensor.
        """
        raise NotImplementedError

    def compute(self, sums: Tensor, images: int) -> Tensor:
        """Return the metric of each run (K,); a value that is not finite counts as not measured.

        Args:
            sums: (K, ...) of all batches, on the CPU.
            images: number of images.
        """
        raise NotImplementedError

    def for_classes(self, classes: Sequence[str]) -> Metric:
        """Return the metric for a data set, where it depends on the names of the classes.

        Raises:
            UsageError: it names a class that the data set does not have.
        """
        del classes
        return self

    def problem(self, measured: LabelCounts) -> str | None:
        """Return the reason why the metric has no value on some images, such as `has no image of truck`; else None."""
        del measured
        return None

    def baseline(self, measured: LabelCounts) -> float | None:
        """Return the value of a model that always gives the most frequent answer; None if there is none.

        A model that is not better has learned nothing. With one label an image, that answer is the largest class; with
        several, of each label whether most images have it.
        """
        del measured
        return None


METRICS = Registry("metric", "metrics", Metric)


def make_metric(choice: Choice) -> Metric:
    """Return the metric that a sweep file names.

    Raises:
        UsageError: it is unknown, its code cannot be imported, or it does not take its arguments.
    """
    try:
        return METRICS.get(choice.name)(**choice.arguments)
    except KeyError:
        known = ", ".join(METRICS.names)
        raise UsageError(f"metric {choice.name}: is not installed here; known are {known}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"metric {choice.name}: {where}: {first['msg']}") from error


def column_of(choice: Choice) -> str:
    """Return the name in tables; for a user's code the class name, so that it is not imported."""
    return choice.name.rpartition(":")[2] if is_reference(choice.name) else make_metric(choice).column or choice.name


def describe_metrics(choices: Iterable[Choice]) -> tuple[MetricInfo, ...]:
    """Return the properties of metrics for journal and tables; imports their code.

    Raises:
        UsageError: see `make_metric`.
    """
    made = [(column_of(choice), make_metric(choice)) for choice in choices]
    return tuple(MetricInfo(column, metric.label or column, metric.greater_is_better) for column, metric in made)
