"""Images by class in words and tables, and the warning that accuracy hides small classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len, set_cell_size

from cnnsweep.formatting.escape import safe_text
from cnnsweep.metrics.baseline import SEVERAL, answer_words, words_of_answer
from cnnsweep.metrics.names import ACCURACY, is_on_validation, without_prefix
from cnnsweep.types import LabelCounts, PartCounts

MOST_ROWS = 10  # classes of a table; of more the smallest and the largest are named
UNEQUAL = 1.5  # ratio of class sizes from which they are listed
VERY_UNEQUAL = 3.0  # ratio from which accuracy hides the small classes
_LONGEST_NAME = 30
_PURPOSES = {"training": "to train on", "validation": "for validation", "test": "for testing"}


def short_class(name: str) -> str:
    """Return the name of a class, safe to print and cut if it is long."""
    return safe_text(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…")


def is_unequal(counts: PartCounts, ratio: float = UNEQUAL) -> bool:
    """True if in training or on the measured images one class has `ratio` times the images of another, or more."""
    return counts.training.is_unequal(ratio) or counts.measured.is_unequal(ratio)


def is_very_unequal(counts: PartCounts) -> bool:
    """True if accuracy says little about the small classes."""
    return len(counts.training.classes) > 1 and counts.training.is_unequal(VERY_UNEQUAL)


def hides_small_classes(metric: str) -> bool:
    """True for the accuracy, to which the large classes contribute most."""
    return without_prefix(metric) == ACCURACY


def class_table(counts: PartCounts) -> tuple[list[str], list[list[str]]]:
    """Return the headings and rows of a table: one row a class, one column a part."""
    numbers = [part.counts for part in counts.parts.values()]
    rows = [
        [short_class(name), *(f"{part[position]:,}" for part in numbers)]
        for position, name in enumerate(counts.training.classes)
    ]
    return ["label" if counts.training.is_multi_label else "class", *counts.parts], rows


def class_lines(counts: PartCounts) -> list[str]:
    """Return the images of each class: a line if classes are equal or many, else a table."""
    if not is_unequal(counts) or len(counts.training.classes) > MOST_ROWS:
        return [f"images: {counts_words(counts)}"]
    headings, rows = class_table(counts)
    widths = [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]
    first, *others = (_line(row, widths) for row in (headings, *rows))
    return [f"images: {first}{_fold_words(counts)}", *(f"        {line}" for line in others)]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *numbers = row
    cells = [f"{number:>{width}}" for number, width in zip(numbers, widths[1:], strict=True)]
    return "  ".join([set_cell_size(name, widths[0]), *cells])


def counts_words(counts: PartCounts) -> str:
    """Return the smallest and the largest number of images of a class, by part; with their names if they differ."""
    is_named = is_unequal(counts)
    ranges = [f"{_range(part, is_named=is_named)} {_PURPOSES[name]}" for name, part in counts.parts.items()]
    return f"of a {'label' if counts.training.is_multi_label else 'class'} {', '.join(ranges)}{_fold_words(counts)}"


def _range(part: LabelCounts, *, is_named: bool) -> str:
    pairs = sorted(zip(part.counts, part.classes, strict=True), key=lambda pair: pair[0])  # stable
    if not pairs or pairs[0][0] == pairs[-1][0]:
        return f"{pairs[0][0]:,}" if pairs else "0"
    ends = [f"{count:,} ({short_class(name)})" if is_named else f"{count:,}" for count, name in (pairs[0], pairs[-1])]
    return " to ".join(ends)


def _fold_words(counts: PartCounts) -> str:
    return "" if counts.fold is None else f" (in fold {counts.fold}, the least balanced)"


def constant_answer_words(counts: PartCounts, baselines: Mapping[str, float], metric: str) -> str | None:
    """Return what a constant answer reaches: `always answering 'cat' is right for 67.92 % of the validation images`.

    Args:
        baselines: see `measure_baselines`.
        metric: the one that decides, whose baseline follows if it is another.
    """
    if counts.measured.is_multi_label:
        return _label_answer_words(counts, baselines, metric)
    words = words_of_answer(counts.measured)
    found = next(iter(_accuracies(baselines)), None)
    share = []
    if found is not None:
        share = [f"is right for {baselines[found] * 100:.2f} % of the {_images_of(found)} images"]
    if metric in baselines and metric != found:
        share.append(f"reaches {metric} {baselines[metric]:.4g}")
    return f"{words} {' and '.join(share)}" if share else None


def _label_answer_words(counts: PartCounts, baselines: Mapping[str, float], metric: str) -> str | None:
    """Return the same for several labels an image, where each metric has a constant answer of its own."""
    facts = {"labels": SEVERAL}
    found = []
    for name in dict.fromkeys((*_accuracies(baselines), metric)):
        if name in baselines and without_prefix(name) == ACCURACY:
            words = f"is right for {baselines[name] * 100:.2f} % of the {_images_of(name)} images"
            found.append(f"{words_of_answer(counts.measured)} {words}")
        elif name in baselines:
            found.append(f"{answer_words(name, facts)} reaches {name} {baselines[name]:.4g}")
    return "; ".join(found) or None


def _accuracies(baselines: Mapping[str, float]) -> list[str]:
    return [name for name in baselines if without_prefix(name) == ACCURACY]


def _images_of(metric: str) -> str:
    return "validation" if is_on_validation(metric) else "training"


def hidden_classes_words(counts: PartCounts, metric: str) -> str | None:
    """Return a warning if the accuracy decides although classes are very unequal; else None."""
    if not hides_small_classes(metric) or not is_very_unequal(counts):
        return None
    several = counts.training.is_multi_label
    return (
        f"{metric} hides the {'rare labels' if several else 'small classes'}, of "
        f"{_range(counts.training, is_named=True)} images to train on: consider metric: "
        f"{metric_for_small_classes(counts)} or macro_f1"
    )


def metric_for_small_classes(counts: PartCounts) -> str:
    """Return the metric to rank by where accuracy hides small classes or rare labels."""
    return "average_precision" if counts.training.is_multi_label else "balanced_accuracy"
