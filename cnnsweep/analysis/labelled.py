"""Values by label, of images with several labels each."""

from __future__ import annotations

from cnnsweep.analysis.class_counts import ClassCounts
from cnnsweep.analysis.confusion import Measured


class Labelled(Measured):
    """Base of dataclasses about images with several labels.

    Attributes:
        total: the number of images.
        right: the number of those with all labels right, each given if its probability is above 0.5.
        thresholds: the probability of each label above which an image is given it; empty if runs differ in them.
        counts: for each label the images that have it, those given it, and those of both; at the thresholds.
        average_precision: of each label; None where no image has it.
    """

    __slots__ = ()
    total: int
    right: int
    thresholds: tuple[float, ...]
    counts: tuple[tuple[int, int, int], ...]
    average_precision: tuple[float | None, ...]

    @property
    def images(self) -> int:
        return self.total

    @property
    def correct(self) -> int:
        return self.right

    def of_class(self, position: int) -> ClassCounts:
        """Return the counts of one label."""
        return ClassCounts(self.classes[position], *self.counts[position], self.runs)
