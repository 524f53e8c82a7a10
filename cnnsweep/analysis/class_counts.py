"""Recall, precision and F1 of one class, each with its 95 % interval."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cnnsweep.analysis.statistics import wilson

Interval = tuple[float, float]

_OF_CLASS = re.compile(r"(f1|precision|recall)\[(.*)\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """The images of one class.

    Attributes:
        images: those that have the class.
        predicted: those for which the model gives it.
        correct: those of both.
        runs: the number of runs whose counts these are together; intervals count each image once.
    """

    name: str
    images: int
    predicted: int
    correct: int
    runs: int = 1

    @property
    def recall(self) -> float | None:
        """The share of the class's images that are recognised."""
        return self.correct / self.images if self.images else None

    @property
    def precision(self) -> float | None:
        """The share of the images given this class that have it."""
        return self.correct / self.predicted if self.predicted else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of recall and precision."""
        return 2 * self.correct / (self.images + self.predicted) if self.images + self.predicted else None

    @property
    def recall_ends(self) -> Interval | None:
        """Wilson's interval of the recall."""
        return self._wilson(self.images)

    @property
    def precision_ends(self) -> Interval | None:
        """Wilson's interval of the precision, with the number of predictions fixed."""
        return self._wilson(self.predicted)

    @property
    def f1_ends(self) -> Interval | None:
        """The interval of F1: Wilson's of the share of all images with the class, given or true, that are right.

        F1 is 2 s / (1 + s) of that share s, also known as intersection over union, and grows with it.
        """
        ends = self._wilson(self.images + self.predicted - self.correct)
        return None if ends is None else (2 * ends[0] / (1 + ends[0]), 2 * ends[1] / (1 + ends[1]))

    def _wilson(self, images: int) -> Interval | None:
        return wilson(self.correct / self.runs, images / self.runs) if images else None


def score_of_class(metric: str) -> tuple[str, str] | None:
    """Return score and class of a metric of one class: `recall` and `truck` for `recall[truck]`; else None."""
    found = _OF_CLASS.fullmatch(metric)
    return None if found is None else (found[1], found[2])


def value_of(counts: ClassCounts, score: str) -> float | None:
    """Return a class's `recall`, `precision` or `f1`."""
    return {"recall": counts.recall, "precision": counts.precision, "f1": counts.f1}[score]


def ends_of(counts: ClassCounts, score: str) -> Interval | None:
    """Return the interval of a class's `recall`, `precision` or `f1`."""
    return {"recall": counts.recall_ends, "precision": counts.precision_ends, "f1": counts.f1_ends}[score]
