"""Content of `evaluation.json`: a run's metrics by class, its confusions, and misclassified images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Base64Bytes, BeforeValidator, FailFast, Field, Strict, TypeAdapter

from cnnsweep.analysis.confusion import Confused
from cnnsweep.analysis.json_reader import (
    FolderName,
    Metric,
    Must,
    Names,
    Number,
    Version,
    Whole,
    null_as,
    parse_json,
    read_as,
    refusal,
    shown,
)
from cnnsweep.analysis.labelled import Labelled
from cnnsweep.formatting.numbers import count_text
from cnnsweep.storage.self_digest import evaluation_is_whole

FILE_NAME = "evaluation.json"
VERSION = 1
MOST_WRONG = 100  # images that are read
MOST_IMAGE_BYTES = 1 << 20
MOST_CLASSES = 2000
_PNG = b"\x89PNG\r\n\x1a\n"


def _is_png(image: bytes) -> bool:
    return image.startswith(_PNG) and len(image) <= MOST_IMAGE_BYTES


def _within_bounds(probability: float | None) -> float | None:
    return None if probability is None else min(max(probability, 0.0), 1.0)


def _first(images: Any) -> Any:
    return images[:MOST_WRONG] if isinstance(images, list) else images


_Values = Annotated[Mapping[str, Number], null_as({})]
_Intervals = Annotated[Mapping[str, tuple[Number, Number]], null_as({})]
_Row = Annotated[tuple[Annotated[int, Strict(), Field(ge=0, lt=2**53)], ...], FailFast()]


@dataclass(frozen=True, slots=True)
class WrongImage:
    """An image that the run takes for another class.

    Attributes:
        file: its file, relative to the data set's folder; None for a data set that is no folder.
        missed, invented: with several labels an image, those that it has and is not given, and the reverse. `label` and
            `predicted` name all labels then, and `probability` is that of the most certain wrong one to be right.
    """

    index: Whole
    label: str
    predicted: str
    probability: Annotated[Metric, AfterValidator(_within_bounds)]  # that the run gave to `predicted`
    png: Annotated[Base64Bytes, Must("a PNG image in base64", _is_png)]
    file: str | None = None
    missed: tuple[str, ...] = ()
    invented: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file, or the position in the data set."""
        return f"image {self.index}" if self.file is None else self.file


@dataclass(frozen=True, slots=True)
class RunEvaluation(Confused):
    """One run measured on the images of one split: test, val or train."""

    run: FolderName
    split: Literal["test", "val", "train"]
    accuracy: Number
    loss: Metric
    classes: Names
    confusion: Annotated[tuple[_Row, ...], FailFast()]  # a row a true class, a column a predicted one
    wrong: Annotated[tuple[WrongImage, ...], FailFast(), BeforeValidator(_first)]
    metrics: _Values = field(default_factory=dict)
    intervals: _Intervals = field(default_factory=dict)
    baseline: _Values = field(default_factory=dict)
    tta: str | None = None  # test-time augmentation


_Share = Annotated[Number, Field(ge=0, le=1)]
_Count = Annotated[int, Strict(), Field(ge=0, lt=2**53)]


@dataclass(frozen=True, slots=True)
class RunLabelEvaluation(Labelled, RunEvaluation):
    """One run measured on images with several labels; its confusion matrix is empty."""

    confusion: Annotated[tuple[_Row, ...], FailFast()] = ()
    wrong: Annotated[tuple[WrongImage, ...], FailFast(), BeforeValidator(_first)] = ()
    total: Annotated[_Count, Field(alias="images")] = 0
    right: Annotated[_Count, Field(alias="correct")] = 0
    thresholds: Annotated[tuple[_Share, ...], FailFast(), null_as(())] = ()
    counts: Annotated[tuple[tuple[_Count, _Count, _Count], ...], FailFast()] = ()
    average_precision: Annotated[tuple[_Share | None, ...], FailFast(), null_as(())] = ()


@dataclass(frozen=True, slots=True)
class _File:
    version: Version
    epoch: Whole | None = None
    labels: Literal["one", "several"] = "one"


_VERSION, _EVALUATION, _OF_LABELS = TypeAdapter(_File), TypeAdapter(RunEvaluation), TypeAdapter(RunLabelEvaluation)


def load_run_evaluation(folder: Path, best_epoch: int | None = None) -> RunEvaluation | None:
    """Return the evaluation in a run's folder, None where there is none.

    Args:
        best_epoch: whose weights must have been measured; a file of an earlier version does not say.

    Raises:
        ResultsError: the file is damaged, has another form, or is about other weights; the message names the place.
    """
    file = folder / FILE_NAME
    if not file.exists():
        return None
    content = parse_json(file, evaluation_is_whole)
    about = read_as(_VERSION, content, file)
    epoch = about.epoch
    found = read_as(_EVALUATION if about.labels == "one" else _OF_LABELS, content, file)
    if found.run != folder.name or (epoch is not None and best_epoch not in (None, epoch)):
        of_epoch = "" if epoch is None else f" after epoch {epoch}"
        message = f"is about run {shown(found.run)}{of_epoch}; measure this one with 'cnnsweep evaluate'"
        raise refusal(file, "", message)
    classes = len(found.classes)
    if not 0 < classes <= MOST_CLASSES:
        raise refusal(file, "classes", f"are {classes:,}, but must be 1 to {MOST_CLASSES:,}")
    if isinstance(found, RunLabelEvaluation):
        _check_labels(file, found)
        return found
    for position, row in enumerate(found.confusion):
        if len(row) != classes:
            raise refusal(file, f"confusion[{position}]", f"must be {classes:,} counts, one a class")
    if len(found.confusion) != classes:
        rows = count_text(len(found.confusion), "row")
        raise refusal(file, "confusion", f"has {rows}, but must have {classes:,}, one a class")
    return found


def _check_labels(file: Path, found: RunLabelEvaluation) -> None:
    classes = len(found.classes)
    for name, values in (
        ("counts", found.counts),
        ("thresholds", found.thresholds),
        ("average_precision", found.average_precision),
    ):
        if len(values) != classes and (values or name == "counts"):
            raise refusal(file, name, f"must be {classes:,} values, one a class")
    for position, (images, predicted, correct) in enumerate(found.counts):
        if not (correct <= min(images, predicted) and max(images, predicted) <= found.total):
            raise refusal(
                file, f"counts[{position}]", "must be images with the label, given it, and both, of all images"
            )
