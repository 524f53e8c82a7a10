"""Values derived from a confusion matrix."""

from __future__ import annotations


class Confused:
    """Base of dataclasses with a confusion matrix.

    Attributes:
        split: test, val or train.
        classes: names of the classes.
        confusion: numbers of images, one row per true class, one column per predicted class.
    """

    __slots__ = ()
    split: str
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def images(self) -> int:
        return sum(map(sum, self.confusion))

    @property
    def correct(self) -> int:
        return sum(row[position] for position, row in enumerate(self.confusion))

    def class_accuracies(self) -> list[float | None]:
        """Return the share of each class's images that were recognised; None for a class without images."""
        return [row[k] / sum(row) if sum(row) else None for k, row in enumerate(self.confusion)]

    def most_confused(self, count: int) -> list[tuple[str, str, int]]:
        """Return (true class, predicted class, images) of the most common mistakes, the most common first."""
        pairs = [
            (self.classes[true], self.classes[predicted], images)
            for true, row in enumerate(self.confusion)
            for predicted, images in enumerate(row)
            if true != predicted and images
        ]
        return sorted(pairs, key=lambda pair: -pair[2])[:count]
