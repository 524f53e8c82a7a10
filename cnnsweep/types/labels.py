"""Classes of a data set and the number of their images, on which metrics, losses and baselines depend."""

from __future__ import annotations

from dataclasses import dataclass

PARTS = ("training", "validation", "test")


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """Images by class, of one part of the data.

    Attributes:
        classes: the names of the classes, in the order of the labels.
        counts: the number of images of each class; with several labels an image, each label counts.
        images: the number of images.
        is_multi_label: an image has any number of labels: they are (N, classes) of 0 and 1 instead of (N,) int64.
        frequent_labels: the set of labels that most images have, all of these and no other; None if unknown, and with
            one label an image.
        frequent_images: the number of images with exactly this set.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    images: int
    is_multi_label: bool = False
    frequent_labels: tuple[str, ...] | None = None
    frequent_images: int | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The classes without an image."""
        return tuple(name for name, count in zip(self.classes, self.counts, strict=True) if not count)

    @property
    def largest(self) -> str | None:
        """The class with most images; None if several have equally many, or images have several labels."""
        most = max(self.counts, default=0)
        if self.is_multi_label or not most or self.counts.count(most) > 1:
            return None
        return self.classes[self.counts.index(most)]

    def is_unequal(self, ratio: float) -> bool:
        """True if the largest class has `ratio` times the images of the smallest, or more."""
        return max(self.counts, default=0) >= max(ratio * min(self.counts, default=0), 1)

    def position(self, name: str) -> int | None:
        """Return the number of a class; None for an unknown name."""
        return self.classes.index(name) if name in self.classes else None


@dataclass(frozen=True, slots=True)
class PartCounts:
    """Images by class of each part of a data set; with folds, of one fold.

    Attributes:
        training, validation, test: None for a part that does not exist.
        fold: the number of the fold, from 0; None without folds.
    """

    training: LabelCounts
    validation: LabelCounts | None = None
    test: LabelCounts | None = None
    fold: int | None = None

    @property
    def measured(self) -> LabelCounts:
        """The images on which runs are compared: the held-out ones, or those of training if none is held out."""
        return self.training if self.validation is None else self.validation

    @property
    def parts(self) -> dict[str, LabelCounts]:
        """The parts that exist, by their names."""
        return {name: counts for name in PARTS if (counts := getattr(self, name)) is not None}


def named_classes(count: int) -> tuple[str, ...]:
    """Return names for classes without any: their numbers."""
    return tuple(map(str, range(count)))
