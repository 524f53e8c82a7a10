"""Values by class, and those derived from a confusion matrix."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from cnnsweep.analysis.class_counts import ClassCounts
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text

_LONGEST_NAME = 30  # characters of a class's name in a sentence
_MOST_NAMED = 5  # classes in a sentence
IMAGES = {"test": "test images", "val": "validation images", "train": "training images"}


class Measured:
    """Base of dataclasses about images of one split, measured by class.

    Attributes:
        split: test, val or train.
        classes: names of the classes.
        tta: test-time augmentation; None without any.
        runs: the number of runs whose counts these are together.
    """

    __slots__ = ()
    split: str
    classes: tuple[str, ...]
    tta: str | None

    @property
    def runs(self) -> int:
        return 1

    @property
    @abstractmethod
    def images(self) -> int:
        """The number of images."""

    @abstractmethod
    def of_class(self, position: int) -> ClassCounts:
        """Return the counts of one class."""

    @property
    def by_class(self) -> list[ClassCounts]:
        """The counts of each class."""
        return [self.of_class(position) for position in range(len(self.classes))]

    @property
    def empty_classes(self) -> list[str]:
        """The classes without images."""
        return [one.name for one in self.by_class if not one.images]

    def remarks(self) -> list[str]:
        """Return sentences about classes that the model does not know, and classes that were not measured."""
        never = [one.name for one in self.by_class if one.images and not one.predicted]
        remarks = [f"never answers {names_text(never)}"] if never else []
        if empty := self.empty_classes:
            kind = IMAGES[self.split].removesuffix("s")
            remarks.append(f"no {kind} of {names_text(empty)}: nothing is known about {_them(empty)}")
        return remarks


class Confused(Measured):
    """Base of dataclasses with a confusion matrix.

    Attributes:
        confusion: numbers of images, one row per true class, one column per predicted class.
    """

    __slots__ = ()
    confusion: tuple[tuple[int, ...], ...]

    @property
    def images(self) -> int:
        return sum(map(sum, self.confusion))

    @property
    def correct(self) -> int:
        return sum(row[position] for position, row in enumerate(self.confusion))

    @property
    def majority(self) -> tuple[str, float]:
        """The largest class, and its share of the images: the accuracy of always answering it."""
        sizes = [sum(row) for row in self.confusion]
        largest = max(range(len(sizes)), key=sizes.__getitem__)
        return self.classes[largest], sizes[largest] / self.images

    def of_class(self, position: int) -> ClassCounts:
        """Return the counts of one class."""
        row = self.confusion[position]
        predicted = sum(other[position] for other in self.confusion)
        return ClassCounts(self.classes[position], sum(row), predicted, row[position], self.runs)

    def class_accuracies(self) -> list[float | None]:
        """Return the share of each class's images that were recognised; None for a class without images."""
        return [one.recall for one in self.by_class]

    def remarks(self) -> list[str]:
        """Return sentences about classes that the model does not know, and classes that were not measured."""
        by_class = self.by_class
        answered = [one.name for one in by_class if one.predicted]
        present = sum(bool(one.images) for one in by_class)
        remarks = super().remarks()
        if len(answered) == 1 and present > 1:
            return [f"always answers {names_text(answered)}", *remarks[1:]]
        return remarks

    def most_confused(self, count: int) -> list[tuple[str, str, int]]:
        """Return (true class, predicted class, images) of the most common mistakes, the most common first."""
        pairs = [
            (self.classes[true], self.classes[predicted], images)
            for true, row in enumerate(self.confusion)
            for predicted, images in enumerate(row)
            if true != predicted and images
        ]
        return sorted(pairs, key=lambda pair: -pair[2])[:count]


@dataclass(frozen=True, slots=True)
class Counts(Confused):
    """A confusion matrix alone."""

    split: str
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]


def names_text(names: Sequence[str]) -> str:
    """Return some names of classes in a sentence, safe to print: `truck, ship and 3 more`."""
    shown = [safe_text(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…") for name in names]
    if len(shown) > _MOST_NAMED:
        return (
            f"{', '.join(shown[:_MOST_NAMED])} and {count_text(len(shown) - _MOST_NAMED, 'more class', 'more classes')}"
        )
    return " and ".join([*([", ".join(shown[:-1])] if shown[:-1] else []), *shown[-1:]])


def _them(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "them"
