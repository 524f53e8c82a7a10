"""Accuracy by class and confusion matrix of evaluated runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from cnnsweep.analysis.confusion import Confused
from cnnsweep.analysis.statistics import wilson
from cnnsweep.formatting.numbers import UNKNOWN, count_text

MOST_CLASSES = 60  # classes in one chart; the hardest if there are more
MOST_PAIRS = 10
MOST_WRITTEN = 20  # number of classes; a larger matrix has no room for its counts
IMAGES = {"test": "test images", "val": "validation images", "train": "training images"}

Evaluated = Sequence[tuple[str, Confused]]  # the name of a run, and its evaluation


@dataclass(frozen=True, slots=True)
class ClassShare:
    """The share of a class's images that one run recognises, with its 95 % interval."""

    correct: int
    images: int

    @property
    def share(self) -> float:
        return self.correct / self.images

    @property
    def ends(self) -> tuple[float, float]:
        return wilson(self.correct, self.images)

    @property
    def text(self) -> str:
        return f"{self.share * 100:.2f} %"

    @property
    def interval_text(self) -> str:
        low, high = self.ends
        return f"95 % {low * 100:.2f} to {high * 100:.2f} %"


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class: the share of each run, None if the run has no image of it."""

    name: str
    shares: tuple[ClassShare | None, ...]

    @property
    def texts(self) -> list[str]:
        return [UNKNOWN if share is None else share.text for share in self.shares]


@dataclass(frozen=True, slots=True)
class ClassChart:
    """Accuracy by class.

    Attributes:
        runs: names of the runs, all measured on the same split and classes.
        rows: the hardest class first.
        together: the share of all classes together, for each run.
        images: `8,000 test images`.
    """

    runs: tuple[str, ...]
    rows: tuple[ClassRow, ...]
    together: tuple[ClassShare, ...]
    images: str
    diagnostic: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConfusionChart:
    """The confusion matrix of one run.

    Attributes:
        run: name and split, as an option of a list.
        counts: a row for each true class, a column for each predicted one.
        pairs: true class, predicted class and images of the commonest mistakes.
        images: `8,000 test images`.
    """

    run: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    pairs: tuple[tuple[str, str, int], ...]
    images: str
    diagnostic: str

    @property
    def shares(self) -> list[list[float]]:
        """The counts as shares of their row; 0 in a row without images."""
        return [[count / (sum(row) or 1) for count in row] for row in self.counts]

    @property
    def is_written(self) -> bool:
        return len(self.classes) <= MOST_WRITTEN


def class_chart(evaluated: Evaluated, most: int = MOST_CLASSES) -> ClassChart | None:
    """Return the accuracy by class of each run whose split and classes equal the first run's."""
    alike = _comparable(evaluated)
    if not alike:
        return None
    first = alike[0][1]
    rows = [
        ClassRow(name, tuple(_share(one, position) for _, one in alike)) for position, name in enumerate(first.classes)
    ]
    known = [row for row in rows if any(row.shares)]
    # Runs of one split have the same images, so they have the same classes.
    hardest = sorted(known, key=lambda row: min(share.share if share else 0.0 for share in row.shares))
    worst, best = hardest[0], hardest[-1]
    diagnostic = (
        f"The hardest class is {worst.name} with {worst.texts[0]}, the easiest {best.name} with {best.texts[0]}."
    )
    left_out, empty = len(hardest) - most, len(rows) - len(known)
    more = f"{count_text(left_out, 'more class', 'more classes')} {'is' if left_out == 1 else 'are'} recognised better."
    without = f"{count_text(empty, 'class', 'classes')} without images."
    return ClassChart(
        tuple(name for name, _ in alike),
        tuple(hardest[:most]),
        tuple(ClassShare(one.correct, one.images) for _, one in alike),
        images_text(first),
        diagnostic,
        (*([more] if left_out > 0 else []), *([without] if empty else [])),
    )


def confusion_charts(evaluated: Evaluated) -> list[ConfusionChart]:
    """Return the confusion matrix of each run that has images."""
    return [_confusion(name, one) for name, one in evaluated if one.images]


def images_text(one: Confused) -> str:
    """Return `1 test image` or `8,000 test images`."""
    return count_text(one.images, IMAGES[one.split].removesuffix("s"))


def _comparable(evaluated: Evaluated) -> Evaluated:
    """Return the evaluations with images, and with the first one's split and classes."""
    sound = [(name, one) for name, one in evaluated if one.images]
    return [part for part in sound if (part[1].split, part[1].classes) == (sound[0][1].split, sound[0][1].classes)]


def _share(one: Confused, position: int) -> ClassShare | None:
    images = sum(one.confusion[position])
    return ClassShare(one.confusion[position][position], images) if images else None


def _confusion(name: str, one: Confused) -> ConfusionChart:
    together, pairs = ClassShare(one.correct, one.images), one.most_confused(MOST_PAIRS)
    diagnostic = f"{one.correct:,} of {images_text(one)} are right ({together.text})."
    if pairs:
        diagnostic += f" Most often {pairs[0][0]} is taken for {pairs[0][1]}: {count_text(pairs[0][2], 'image')}."
    label = f"{name}, {IMAGES[one.split]}"
    return ConfusionChart(label, one.classes, one.confusion, tuple(pairs), images_text(one), diagnostic)
