"""Content of `evaluation.json`: a run's metrics by class, its confusions, and misclassified images."""

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnsweep.analysis.confusion import Confused
from cnnsweep.analysis.json_reader import JsonReader, joined, parse_json, shown
from cnnsweep.formatting.numbers import count_text
from cnnsweep.storage.self_digest import evaluation_is_whole

FILE_NAME = "evaluation.json"
VERSION = 1
MOST_WRONG = 100  # images that are read
MOST_IMAGE_BYTES = 1 << 20
MOST_CLASSES = 2000
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class WrongImage:
    """An image that the run takes for another class."""

    index: int
    label: str
    predicted: str
    probability: float | None  # that the run gave to `predicted`
    png: bytes


@dataclass(frozen=True, slots=True)
class RunEvaluation(Confused):
    """One run measured on the images of one split: test, val or train."""

    run: str
    split: str
    accuracy: float
    loss: float | None
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]  # a row a true class, a column a predicted one
    wrong: tuple[WrongImage, ...]


def load_run_evaluation(folder: Path, best_epoch: int | None = None) -> RunEvaluation | None:
    """Return what was written down in a run's folder, None where nothing was.

    Args:
        best_epoch: whose weights must have been measured; a file of an earlier version does not say.

    Raises:
        ResultsError: the file is damaged, has another form, or is about other weights; the message names the place.
    """
    file = folder / FILE_NAME
    if not file.exists():
        return None
    reader = JsonReader(file)
    top = reader.mapping(parse_json(file, evaluation_is_whole), "")
    version = reader.integer(top, "version", "")
    if version != VERSION:
        reader.fail("version", f"is {version}, but this cnnsweep reads version {VERSION}; update cnnsweep")
    classes = reader.names(top, "classes", "")
    if not 0 < len(classes) <= MOST_CLASSES:
        reader.fail("classes", f"are {len(classes):,}, but must be 1 to {MOST_CLASSES:,}")
    run, epoch = reader.run_name(top, "run", ""), reader.maybe(reader.integer, top, "epoch", "")
    if run != folder.name or (epoch is not None and best_epoch not in (None, epoch)):
        of_epoch = "" if epoch is None else f" after epoch {epoch}"
        reader.fail("", f"is about run {shown(run)}{of_epoch}; measure this one with 'cnnsweep evaluate'")
    wrong = [reader.mapping(entry, f"wrong[{n}]") for n, entry in enumerate(reader.sequence(top, "wrong", ""))]
    return RunEvaluation(
        run=run,
        split=reader.choice(top, "split", "", ("test", "val", "train")),
        accuracy=reader.number(top, "accuracy", ""),
        loss=reader.metric(top, "loss", ""),
        classes=classes,
        confusion=_read_confusion(reader, top, len(classes)),
        wrong=tuple(_read_wrong(reader, entry, f"wrong[{n}]", classes) for n, entry in enumerate(wrong[:MOST_WRONG])),
    )


def _read_confusion(reader: JsonReader, top: Mapping[str, Any], classes: int) -> tuple[tuple[int, ...], ...]:
    rows = reader.sequence(top, "confusion", "")
    for position, row in enumerate(rows):
        is_whole = isinstance(row, list) and all(isinstance(n, int) and 0 <= n < 2**53 for n in row)
        if not is_whole or len(row) != classes:
            reader.fail(f"confusion[{position}]", f"must be {classes:,} counts, one a class")
    if len(rows) != classes:
        reader.fail("confusion", f"has {count_text(len(rows), 'row')}, but must have {classes:,}, one a class")
    return tuple(tuple(map(int, row)) for row in rows)


def _read_wrong(reader: JsonReader, entry: Mapping[str, Any], where: str, classes: tuple[str, ...]) -> WrongImage:
    probability = reader.metric(entry, "probability", where)
    return WrongImage(
        index=reader.integer(entry, "index", where),
        label=_class_name(reader, entry, "label", where, classes),
        predicted=_class_name(reader, entry, "predicted", where, classes),
        probability=None if probability is None or not math.isfinite(probability) else min(max(probability, 0.0), 1.0),
        png=_read_png(reader, entry, where),
    )


def _class_name(reader: JsonReader, entry: Mapping[str, Any], key: str, where: str, classes: tuple[str, ...]) -> str:
    """Return a class by its name or its number."""
    value = reader.get(entry, key, where)
    if isinstance(value, str):
        return value
    number = reader.integer(entry, key, where)
    if not 0 <= number < len(classes):
        reader.fail(joined(where, key), f"is {number:,}, but there are {len(classes):,} classes, from 0")
    return classes[number]


def _read_png(reader: JsonReader, entry: Mapping[str, Any], where: str) -> bytes:
    text = reader.text(entry, "png", where)
    try:
        png = base64.b64decode(text.encode("ascii"), validate=True) if len(text) <= 2 * MOST_IMAGE_BYTES else b""
    except (UnicodeEncodeError, binascii.Error):
        png = b""
    if not png.startswith(_PNG):
        reader.fail(joined(where, "png"), "is no PNG image in base64")
    return png
