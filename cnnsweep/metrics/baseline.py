"""Baselines: the values that always giving the most frequent answer reaches, which a trained model has to beat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnsweep.errors import UsageError
from cnnsweep.metrics.base import column_of, make_metric
from cnnsweep.metrics.names import (
    ACCURACY,
    ALWAYS,
    CLASS_METRICS,
    LOSS,
    OF_CLASS,
    as_mapping,
    is_on_validation,
    on_validation,
    without_prefix,
)
from cnnsweep.metrics.objective import Objective
from cnnsweep.types import Choice, LabelCounts, PartCounts

_ROUNDING = 1e-9  # of a metric and its baseline, which are computed in another order

_LONGEST_NAME = 30  # of a class
_MOST_LABELS = 3  # named of a set
_OF_FREQUENCIES, _OF_SCORES = (LOSS, "nll", "brier"), ("auroc", "average_precision")

SEVERAL = "several"  # the value of `labels` where an image has any number of labels
ANY_CLASS = "always answering one class"
LARGEST_CLASS = "always answering the largest class"
FREQUENT_LABELS = "always giving the most frequent set of labels"
ALL_LABELS = "always giving all labels"
SAME_LABELS = "always giving the same labels"
FREQUENCIES, LABEL_FREQUENCIES = "always giving the class frequencies", "always giving the label frequencies"
EQUAL_SCORES = "always giving equal scores"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The value of a metric that a constant answer reaches.

    Attributes:
        metric: the column, such as `val_accuracy`.
        mode: `max` or `min`, the direction in which a value is better.
        words: the answer, such as `always answering 'cat'`.
    """

    metric: str
    value: float
    mode: str
    words: str

    def is_beaten_by(self, value: float | None) -> bool:
        """False for a value that is no better than the baseline; True for an unknown one."""
        if value is None:
            return True
        lead = value - self.value if self.mode == "max" else self.value - value
        return lead > _ROUNDING * max(1.0, abs(self.value))


def measure_baselines(choices: Iterable[Choice], counts: PartCounts) -> dict[str, float]:
    """Return the baselines of accuracy and further metrics, by column, on the images that runs are compared on.

    There is none if all these images are of one class: no answer could be better.

    Raises:
        UsageError: a user's metric fails.
    """
    measured = counts.measured
    if not measured.is_multi_label and max(measured.counts, default=0) == measured.images:
        return {}
    column = on_validation if counts.validation is not None else without_prefix
    chosen = {ACCURACY: Choice(ACCURACY), **{column_of(choice): choice for choice in choices}}
    found = {column(name): _baseline(choice, measured) for name, choice in chosen.items()}
    return {name: value for name, value in found.items() if value is not None}


def _baseline(choice: Choice, counts: LabelCounts) -> float | None:
    try:
        metric = make_metric(choice).for_classes(counts.classes)
    except UsageError:  # of a class that is unknown: refused by `check_metrics`, with its place in the sweep file
        return None
    try:
        return metric.baseline(counts) if metric.problem(counts) is None else None
    except Exception as error:  # a user's code
        raise UsageError(f"metric {choice.name}: baseline: {type(error).__name__}: {error}") from error


def known_baselines(facts: Mapping[str, Any]) -> Mapping[str, float]:
    """Return the baselines by column; of an earlier version's file that of the accuracy.

    Args:
        facts: of the sweep, in the journal or results.json.
    """
    if (known := facts.get("baselines")) is not None:
        return dict(known)
    images, largest = facts.get("validation_images"), facts.get("largest_class")
    return {on_validation(ACCURACY): largest / images} if images and largest is not None else {}


def deciding_baseline(objective: Objective, facts: Mapping[str, Any]) -> Baseline | None:
    """Return the baseline of the metric that decides; None if it has none.

    For a loss without one, or an accuracy while training, that of an accuracy stands in, of held-out images if need be.
    """
    known = known_baselines(facts)
    if objective.metric in known:
        return make_baseline(objective.metric, objective.mode, facts)
    if without_prefix(objective.metric) not in ALWAYS:
        return None
    same_images = on_validation(ACCURACY) if is_on_validation(objective.metric) else ACCURACY
    found = next((name for name in (same_images, on_validation(ACCURACY)) if name in known), None)
    return None if found is None else make_baseline(found, "max", facts)


def make_baseline(metric: str, mode: str, facts: Mapping[str, Any]) -> Baseline:
    """Return the baseline of a metric that has one."""
    return Baseline(metric, known_baselines(facts)[metric], mode, answer_words(metric, facts))


def answer_words(metric: str, facts: Mapping[str, Any]) -> str:
    """Return the constant answer for a metric, such as `always answering 'cat'`, safe to print."""
    name = without_prefix(metric)
    is_multi_label = facts.get("labels") == SEVERAL
    if name in _OF_FREQUENCIES:
        return LABEL_FREQUENCIES if is_multi_label else FREQUENCIES
    if name in _OF_SCORES:
        return EQUAL_SCORES
    if (found := as_mapping(name)) is not None:
        return f"always answering the {found['k']} largest classes" if "k" in found else _always(found[OF_CLASS])
    if is_multi_label:
        return _label_words(name)
    classes, counts = facts.get("classes"), facts.get("counts")
    if not classes or not counts:
        return LARGEST_CLASS
    measured = counts.get("validation") or counts["training"]
    return words_of_answer(LabelCounts(tuple(classes), tuple(measured), sum(measured)))


def _label_words(name: str) -> str:
    if name == ACCURACY:
        return FREQUENT_LABELS
    return ALL_LABELS if name.endswith(CLASS_METRICS) else SAME_LABELS


def words_of_answer(measured: LabelCounts) -> str:
    """Return the most frequent answer for some images, safe to print."""
    if measured.is_multi_label:
        return (
            FREQUENT_LABELS if measured.frequent_labels is None else f"always giving {_set(measured.frequent_labels)}"
        )
    return ANY_CLASS if measured.largest is None else _always(measured.largest)


def _always(name: str) -> str:
    return f"always answering {_quoted(name)}"


def _set(names: Sequence[str]) -> str:
    """Return the labels, safe to print; of many their number."""
    if not names:
        return "no label"
    return " and ".join(map(_quoted, names)) if len(names) <= _MOST_LABELS else f"the same {len(names):,} labels"


def _quoted(name: str) -> str:
    # The representation of a text is in quotes, and escapes all that could control a terminal.
    return repr(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…")
