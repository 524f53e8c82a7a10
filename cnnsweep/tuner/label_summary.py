"""Summary of the labels before training: images by class, the baselines, and what accuracy would hide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cnnsweep.config.schema import SweepSpec
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.part_counts import Splits, count_parts
from cnnsweep.datasets.summary import missing_images
from cnnsweep.formatting.class_counts import class_lines, constant_answer_words, hidden_classes_words
from cnnsweep.losses.base import make_evaluation_loss
from cnnsweep.losses.baseline import loss_baseline
from cnnsweep.metrics.baseline import measure_baselines
from cnnsweep.metrics.names import LOSS, on_validation
from cnnsweep.plugins import is_reference
from cnnsweep.samplers.space import Interval
from cnnsweep.types import CROSS_ENTROPY, NATURAL, PartCounts


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """The labels of a data set.

    Attributes:
        baselines: see `measure_baselines`.
        lines: the images of each class, and the value of a constant answer.
        warnings: classes without images, and small ones that the deciding metric hides.
    """

    counts: PartCounts
    baselines: Mapping[str, float]
    lines: tuple[str, ...]
    warnings: tuple[str, ...]


def summarize_labels(spec: SweepSpec, dataset: Dataset, splits: Splits) -> LabelSummary:
    """Return the summary for a sweep.

    Args:
        splits: see `Dataset.split`.

    Raises:
        UsageError: a user's metric fails.
    """
    counts = count_parts(dataset, splits)
    baselines = {} if _is_drawn_anew(spec, counts) else measure_baselines(spec.metrics, counts)
    baselines |= _loss_baseline(spec, counts)
    answer = constant_answer_words(counts, baselines, spec.metric)
    hidden = hidden_classes_words(counts, spec.metric)
    return LabelSummary(
        counts,
        baselines,
        (*class_lines(counts), *([] if answer is None else [f"baseline: {answer}"])),
        (*missing_images(dataset, splits), *([] if hidden is None else [hidden])),
    )


def _is_drawn_anew(spec: SweepSpec, counts: PartCounts) -> bool:
    """True if runs are compared on training images that some of them draw by class, so that counts differ by run."""
    key, values = "sampling", spec.axes.get("sampling", ())
    drawn = [*(values if isinstance(values, tuple) else ()), *(one[key] for one in spec.include if key in one)]
    return counts.validation is None and any(sampling != NATURAL for sampling in drawn)


def _loss_baseline(spec: SweepSpec, counts: PartCounts) -> dict[str, float]:
    """Return the baseline of the held-out loss, if all runs have the same loss, one of those built in."""
    key = "loss_function"
    choices = spec.axes.get(key, (CROSS_ENTROPY,))
    if isinstance(choices, Interval) or len(choices) > 1 or any(key in one for one in spec.include):
        return {}
    (choice,) = choices
    if is_reference(choice.name) or counts.validation is None:
        return {}
    value = loss_baseline(make_evaluation_loss(choice), counts.validation)
    return {} if value is None else {on_validation(LOSS): value}
