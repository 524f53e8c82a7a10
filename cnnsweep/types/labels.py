"""Classes of a data set and the number of their images, on which metrics, losses and baselines depend."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """Images by class, of one part of the data.

    Attributes:
        classes: the names of the classes, in the order of the labels.
        counts: the number of images of each class; with several labels an image, each label counts.
        images: the number of images.
        is_multi_label: an image has any number of labels: they are (N, classes) of 0 and 1 instead of (N,) int64.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    images: int
    is_multi_label: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """The classes without an image."""
        return tuple(name for name, count in zip(self.classes, self.counts, strict=True) if not count)

    def position(self, name: str) -> int | None:
        """Return the number of a class; None for an unknown name."""
        return self.classes.index(name) if name in self.classes else None


def named_classes(count: int) -> tuple[str, ...]:
    """Return names for classes without any: their numbers."""
    return tuple(map(str, range(count)))
