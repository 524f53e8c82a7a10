"""Thresholds above which an image has a label: chosen on validation images, and stored with their evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import FailFast, Field, TypeAdapter

from cnnsweep.analysis.json_reader import Names, Number, Whole, null_as, parse_json, read_as
from cnnsweep.errors import ResultsError
from cnnsweep.evaluation.model_card import Description
from cnnsweep.formatting.escape import safe_text
from cnnsweep.storage.paths import RunPaths
from cnnsweep.storage.self_digest import evaluation_is_whole

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class _Stored:
    run: str
    classes: Names
    epoch: Whole | None = None
    tta: str | None = None
    thresholds: Annotated[tuple[Annotated[Number, Field(ge=0, le=1)], ...], FailFast(), null_as(())] = ()


_STORED = TypeAdapter(_Stored)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The probability of each label above which an image has it, in the order of the classes.

    Attributes:
        note: the reason for 0.5 in place of chosen thresholds; None for chosen ones.
    """

    values: tuple[float, ...]
    note: str | None = None


def stored_thresholds(weights_file: Path, about: Description, tta: str | None = None) -> Thresholds:
    """Return the thresholds in the `evaluation.json` beside a checkpoint, if it is about the same weights.

    Args:
        tta: test-time augmentation, with which they must have been chosen.
    """
    file = RunPaths(weights_file.parent).evaluation
    default = (DEFAULT_THRESHOLD,) * len(about.classes)
    usual = f"thresholds are {DEFAULT_THRESHOLD}"
    hint = "`cnnsweep evaluate` chooses them on the validation images"
    if not file.is_file():
        return Thresholds(default, f"{usual}, since these weights have no evaluation beside them; {hint}")
    try:
        stored = read_as(_STORED, parse_json(file, evaluation_is_whole), file)
    except ResultsError as error:
        return Thresholds(default, f"{usual}, since the evaluation cannot be read ({error}); {hint}")
    is_its_own = (stored.run, stored.epoch, stored.classes) == (about.run, about.epoch, about.classes)
    if not is_its_own or len(stored.thresholds) != len(about.classes):
        return Thresholds(default, f"{usual}, since {safe_text(file)} has none for these weights; {hint}")
    if stored.tta != tta:
        how = [f"with tta {safe_text(one)}" if one else "without tta" for one in (stored.tta, tta)]
        return Thresholds(default, f"{usual}, since they were chosen {how[0]} and are used {how[1]}; {hint}")
    return Thresholds(stored.thresholds)
