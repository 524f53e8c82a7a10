"""F1, precision and recall, averaged over the classes or of one class.

The definitions are those of scikit-learn and torchmetrics, which agree, with 0 for 0 / 0: a class that is never
predicted has precision 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field, PrivateAttr

from cnnsweep.errors import UsageError
from cnnsweep.field_types import nearest_name, quoted
from cnnsweep.metrics.confusion import ConfusionMetric, confusion_of_all_labels, hits_and_totals, ratio
from cnnsweep.metrics.names import of_class
from cnnsweep.types import LabelCounts

if TYPE_CHECKING:
    from torch import Tensor

Score = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]  # hits, predicted, actual
_SHOWN = 20  # classes in a message


def _f1(hits: Tensor, predicted: Tensor, actual: Tensor) -> Tensor:
    return ratio(2 * hits, predicted + actual)


def _precision(hits: Tensor, predicted: Tensor, actual: Tensor) -> Tensor:
    del actual
    return ratio(hits, predicted)


def _recall(hits: Tensor, predicted: Tensor, actual: Tensor) -> Tensor:
    del predicted
    return ratio(hits, actual)


_SCORES: dict[str, Score] = {"f1": _f1, "precision": _precision, "recall": _recall}


class AveragedScore(
    ConfusionMetric,
    names="""macro_f1 weighted_f1 micro_f1 macro_precision weighted_precision micro_precision
    macro_recall weighted_recall micro_recall""",
):
    """F1, precision or recall over all classes: `macro` is the mean of the classes, `weighted` by their images.

    `micro` counts the images of all classes together; with one label an image it is the accuracy. `macro` leaves out
    classes that neither occur nor are predicted; with several labels an image such a class counts as 0.
    """

    def of_confusion(self, confusion: Tensor) -> Tensor:
        """Return the average of each run (K,)."""
        average, _, kind = self.name.partition("_")
        hits, predicted, actual = hits_and_totals(confusion)
        score = _SCORES[kind]
        if average == "micro":
            return score(hits.sum(-1), predicted.sum(-1), actual.sum(-1))
        counted = actual if average == "weighted" else ((predicted + actual > 0) | (confusion.ndim == 4)).double()
        return ratio((score(hits, predicted, actual) * counted).sum(-1), counted.sum(-1))

    def baseline(self, measured: LabelCounts) -> float | None:
        """Return the value of the most frequent answer; with several labels an image that of giving all labels.

        All labels for all images have recall 1, so no answer is better: with several labels, there is none of recall.
        """
        if not measured.is_multi_label:
            return super().baseline(measured)
        return None if self.name.endswith("recall") else float(self.of_confusion(confusion_of_all_labels(measured)))


class ClassScore(ConfusionMetric, names="f1 precision recall"):
    """F1, precision or recall of one class; not measured where no image has it."""

    of_class: Annotated[str, BeforeValidator(lambda value: str(value) if isinstance(value, int) else value)] = Field(
        description="the name of the class", examples=["truck"], min_length=1
    )
    _position: int | None = PrivateAttr(default=None)

    @property
    def column(self) -> str:
        """The name with the class: `recall[truck]`."""
        return of_class(self.name, self.of_class)

    def for_classes(self, classes: Sequence[str]) -> ClassScore:
        """Return the metric with the position of its class.

        Raises:
            UsageError: there is no such class.
        """
        if self.of_class not in classes:
            raise UsageError(f"names the unknown class {quoted(self.of_class)}; {_hint(self.of_class, classes)}")
        found = self.model_copy()
        found._position = classes.index(self.of_class)
        return found

    def of_confusion(self, confusion: Tensor) -> Tensor:
        """Return the value of each run (K,); NaN where no image has the class."""
        assert self._position is not None, "for_classes comes first"
        hits, predicted, actual = (counts[:, self._position] for counts in hits_and_totals(confusion))
        return _SCORES[self.name](hits, predicted, actual).where(actual > 0, float("nan"))

    def problem(self, measured: LabelCounts) -> str | None:
        """Return the reason if no image has the class."""
        return f"no image is of class {quoted(self.of_class)}" if self._share(measured) == 0 else None

    def baseline(self, measured: LabelCounts) -> float | None:
        """Return the value of always answering this class, which has recall 1: of recall there is none."""
        share = self._share(measured)
        if not share or self.name == "recall":
            return None
        return share if self.name == "precision" else 2 * share / (1 + share)

    def _share(self, measured: LabelCounts) -> float:
        position = measured.position(self.of_class)
        return 0.0 if position is None or not measured.images else measured.counts[position] / measured.images


def _hint(name: str, classes: Sequence[str]) -> str:
    if (nearest := nearest_name(name, classes)) is not None:
        return f"did you mean {quoted(nearest)}?"
    rest = f" and {len(classes) - _SHOWN:,} more" if len(classes) > _SHOWN else ""
    return f"the data set has {', '.join(map(quoted, classes[:_SHOWN]))}{rest}"
