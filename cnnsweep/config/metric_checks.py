"""Metrics that do not fit the classes of a data set that is known by its name."""

from __future__ import annotations

from collections.abc import Iterator

from cnnsweep.config.error_messages import Mistake
from cnnsweep.config.schema import SweepFile
from cnnsweep.config.yaml import KeyPath
from cnnsweep.datasets.base import DATASETS, DatasetInfo
from cnnsweep.errors import UsageError
from cnnsweep.metrics.base import make_metric
from cnnsweep.plugins import is_reference
from cnnsweep.types import Choice, DatasetChoice, LabelCounts, named_classes


def mistakes_in_metrics(sweep: SweepFile) -> Iterator[Mistake]:
    """Yield an unknown class of a metric, and a deciding metric that needs more classes; the images are not read."""
    info = _info(sweep.dataset)
    listed: list[tuple[KeyPath, Choice]] = [(("metrics", place), one) for place, one in enumerate(sweep.metrics)]
    deciding = None if sweep.metric is None else sweep.metric.choice
    named: list[tuple[KeyPath, Choice]] = [] if deciding is None else [(("metric",), deciding)]
    for path, choice in (*named, *listed):
        if is_reference(choice.name) or info is None:
            continue
        text = _unknown_class(choice, info) or (_too_few(choice, info) if choice == deciding else None)
        if text is not None:
            yield Mistake(path, text, because_of=frozenset(["dataset"]))


def _info(dataset: DatasetChoice) -> DatasetInfo | None:
    return None if is_reference(dataset.name) else DATASETS.get(dataset.name)(**dataset.arguments).info


def _unknown_class(choice: Choice, info: DatasetInfo) -> str | None:
    metric = make_metric(choice)
    try:
        if info.class_names:
            metric.for_classes(info.class_names)
    except UsageError as error:
        return f"{metric.column} {error}"
    return None


def _too_few(choice: Choice, info: DatasetInfo) -> str | None:
    """Return the reason if the number of classes alone makes a metric impossible."""
    if info.classes is None or info.classes < 1:
        return None
    metric = make_metric(choice)
    names = info.class_names or named_classes(info.classes)
    # As if each class had an image: what is then wrong is wrong with any images.
    counts = LabelCounts(names, (1,) * len(names), len(names))
    reason = None if choice.arguments.get("of_class") else metric.problem(counts)
    return None if reason is None else f"{metric.column} cannot be computed: {reason}"
