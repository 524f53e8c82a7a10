"""Recall, precision and F1 by class or label, and confusion matrix, of evaluated runs."""

from collections.abc import Sequence
from dataclasses import dataclass

from cnnsweep.analysis.class_counts import ClassCounts, Interval, ends_of, value_of
from cnnsweep.analysis.confusion import IMAGES, Confused, Measured
from cnnsweep.analysis.labelled import Labelled
from cnnsweep.formatting.numbers import UNKNOWN, count_text

MOST_CLASSES = 60  # classes in one chart; the hardest if there are more
MOST_PAIRS = 10
MOST_WRITTEN = 20  # number of classes; a larger matrix has no room for its counts
SCORES = ("recall", "precision", "f1")

Evaluated = Sequence[tuple[str, Measured]]  # the name of a run, and its evaluation


def percent_text(value: float | None) -> str:
    """Return `33.33 %`; a dash for an unknown share."""
    return UNKNOWN if value is None else f"{value * 100:.2f} %"


def ends_text(ends: Interval | None) -> str:
    """Return `19.23 to 51.22 %`; a dash for an unknown interval."""
    return UNKNOWN if ends is None else f"{ends[0] * 100:.2f} to {ends[1] * 100:.2f} %"


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class: its counts for each run, None if the run has no image of it."""

    name: str
    counts: tuple[ClassCounts | None, ...]

    @property
    def images(self) -> int:
        """The number of images of the class."""
        return max(one.images // one.runs for one in self.counts if one is not None)

    @property
    def label(self) -> str:
        """The name with the number of images: `truck (30)`."""
        return f"{self.name} ({self.images:,})"

    def values(self, score: str) -> list[float | None]:
        """Return a score of each run."""
        return [None if one is None else value_of(one, score) for one in self.counts]

    def ends(self, score: str) -> list[Interval | None]:
        """Return the 95 % interval of a score of each run."""
        return [None if one is None else ends_of(one, score) for one in self.counts]

    def texts(self, score: str = "recall") -> list[str]:
        """Return a score of each run in percent."""
        return [percent_text(value) for value in self.values(score)]


@dataclass(frozen=True, slots=True)
class ClassChart:
    """Recall, precision and F1 by class.

    Attributes:
        runs: names of the runs, all measured on the same split and classes.
        rows: the hardest class of the first run first.
        together: the counts of all classes together, for each run.
        images: `8,000 test images`.
        noun: `class`, or `label` of images with several.
    """

    runs: tuple[str, ...]
    rows: tuple[ClassRow, ...]
    together: tuple[ClassCounts, ...]
    images: str
    diagnostic: str
    notes: tuple[str, ...]
    noun: str = "class"


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
        """The counts as shares of their row, the images of a true class; 0 in a row without images."""
        return [[count / (sum(row) or 1) for count in row] for row in self.counts]

    @property
    def predicted_shares(self) -> list[list[float]]:
        """The counts as shares of their column, the images of a predicted class; 0 in a column without images."""
        columns = [sum(column) or 1 for column in zip(*self.counts, strict=True)]
        return [[count / images for count, images in zip(row, columns, strict=True)] for row in self.counts]

    @property
    def true_labels(self) -> list[str]:
        """The classes with their number of images: `truck (30)`."""
        return [f"{name} ({sum(row):,})" for name, row in zip(self.classes, self.counts, strict=True)]

    @property
    def predicted_labels(self) -> list[str]:
        """The classes with the number of images for which each is given."""
        columns = zip(*self.counts, strict=True)
        return [f"{name} ({sum(column):,})" for name, column in zip(self.classes, columns, strict=True)]

    @property
    def is_written(self) -> bool:
        return len(self.classes) <= MOST_WRITTEN


def class_chart(evaluated: Evaluated, most: int = MOST_CLASSES) -> ClassChart | None:
    """Return the scores by class of each run whose split and classes equal the first run's."""
    alike = _comparable(evaluated)
    if not alike:
        return None
    first = alike[0][1]
    rows = [
        ClassRow(name, tuple(_known(one.of_class(position)) for _, one in alike))
        for position, name in enumerate(first.classes)
    ]
    known = [row for row in rows if any(row.counts)]
    # Runs of one split have the same images, so they have the same classes.
    hardest = sorted(known, key=_recalls)
    worst, best = hardest[0], hardest[-1]
    noun, nouns = ("label", "labels") if isinstance(first, Labelled) else ("class", "classes")
    of = f" of {alike[0][0]}" if len(alike) > 1 else ""
    diagnostic = (
        f"The hardest {noun}{of} is {worst.name} with {worst.texts()[0]}, the easiest {best.name} with "
        f"{best.texts()[0]}."
    )
    left_out, empty = len(hardest) - most, len(rows) - len(known)
    more = (
        f"{count_text(left_out, f'more {noun}', f'more {nouns}')} {'is' if left_out == 1 else 'are'} recognised better."
    )
    without = f"{count_text(empty, noun, nouns)} without images."
    return ClassChart(
        tuple(name for name, _ in alike),
        tuple(hardest[:most]),
        tuple(_together(one.by_class) for _, one in alike),
        images_text(first),
        diagnostic,
        (*([more] if left_out > 0 else []), *([without] if empty else [])),
        noun,
    )


def confusion_charts(evaluated: Evaluated) -> list[ConfusionChart]:
    """Return the confusion matrix of each run that has one."""
    return [
        _confusion(name, one) for name, one in evaluated if isinstance(one, Confused) and one.confusion and one.images
    ]


def images_text(one: Measured) -> str:
    """Return `1 test image`, `8,000 test images` or `8,000 test images (tta flip)`."""
    tta = "" if one.tta is None else f" (tta {one.tta})"
    return f"{count_text(one.images, IMAGES[one.split].removesuffix('s'))}{tta}"


def _comparable(evaluated: Evaluated) -> Evaluated:
    """Return the evaluations with images that were measured as the first one, on its split and classes."""
    sound = [(name, one) for name, one in evaluated if one.images]
    measured = [(one.split, one.classes, one.tta) for _, one in sound]
    return [part for part, how in zip(sound, measured, strict=True) if how == measured[0]]


def _recalls(row: ClassRow) -> list[float]:
    """Return the recall of a class in the first run, and those of the others where these are equal."""
    return [value or 0.0 for value in row.values("recall")]


def _known(counts: ClassCounts) -> ClassCounts | None:
    return counts if counts.images else None


def _together(by_class: Sequence[ClassCounts]) -> ClassCounts:
    """Return the counts of all classes together."""
    images, predicted, correct = map(
        sum, zip(*((one.images, one.predicted, one.correct) for one in by_class), strict=True)
    )
    return ClassCounts("", images, predicted, correct, by_class[0].runs)


def _confusion(name: str, one: Confused) -> ConfusionChart:
    pairs = one.most_confused(MOST_PAIRS)
    diagnostic = f"{one.correct:,} of {images_text(one)} are right ({percent_text(one.correct / one.images)})."
    if pairs:
        diagnostic += f" Most often {pairs[0][0]} is taken for {pairs[0][1]}: {count_text(pairs[0][2], 'image')}."
    label = f"{name}, {IMAGES[one.split]}"
    return ConfusionChart(label, one.classes, one.confusion, tuple(pairs), images_text(one), diagnostic)
