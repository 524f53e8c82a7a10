"""Class of all metrics; `base.py` is their contract."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, ClassVar

from cnnsweep.registry import Component
from cnnsweep.types import LabelCounts

if TYPE_CHECKING:
    from torch import Tensor


ONE_LABEL_ONLY = "it is defined for one label an image, and these have several"


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
