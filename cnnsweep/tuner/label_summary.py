"""Summary of the labels before training: images by class, the baselines, and what accuracy would hide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cnnsweep.config.schema import SweepSpec
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.part_counts import Splits, count_parts
from cnnsweep.datasets.summary import missing_images
from cnnsweep.formatting.class_counts import class_lines, constant_answer_words, hidden_classes_words
from cnnsweep.metrics.baseline import measure_baselines
from cnnsweep.types import PartCounts


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
    baselines = measure_baselines(spec.metrics, counts)
    answer = constant_answer_words(counts, baselines, spec.metric)
    hidden = hidden_classes_words(counts, spec.metric)
    return LabelSummary(
        counts,
        baselines,
        (*class_lines(counts), *([] if answer is None else [f"baseline: {answer}"])),
        (*missing_images(dataset, splits), *([] if hidden is None else [hidden])),
    )
