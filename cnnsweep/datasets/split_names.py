"""Folder names that stand for a part of a data set: training, validation, test."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

PARTS = TRAIN, VALIDATION, TEST = "train", "validation", "test"

_WORDS = {
    TRAIN: ("train", "training", "trn", "trainval", "trainvalid"),
    VALIDATION: ("val", "valid", "validation", "validate", "validating", "dev", "devel", "development"),
    # An evaluation part counts as test: nothing is ever selected by it.
    TEST: ("test", "testing", "tst", "eval", "evaluation", "evaluate"),
}
_PART_OF_WORD = {word: part for part, words in _WORDS.items() for word in words}
_FILLERS = (
    *("set", "sets", "data", "dataset", "image", "images", "img", "imgs", "picture", "pictures", "photo", "photos"),
    *("part", "split", "folder", "dir", "files", "samples"),
)
_JOINED = re.compile(f"({'|'.join(sorted(_PART_OF_WORD, key=len, reverse=True))})({'|'.join(_FILLERS)})")
_WORD = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def parts_by_name(names: Sequence[str]) -> dict[str, str]:
    """Return the parts that neighbouring folders are named after, by folder name.

    Case, separators and words such as `set`, `data` or `images` are ignored. All names may share another word, or a
    number: `seg_train` and `seg_test` are parts, `seg_train` alone is not.
    """
    read = {name: found for name in names if (found := _read(name)) is not None}
    plain = {name: part for name, (part, rest) in read.items() if not rest}
    if plain:
        return plain
    for rest in {rest for _, rest in read.values()}:
        alike = {name: part for name, (part, other) in read.items() if other == rest}
        if len(set(alike.values())) > 1 and TRAIN in alike.values():
            return alike
    return {}


def _read(name: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the part that a name contains, and its other words; None if it contains none, or several."""
    spaced = _CAMEL.sub(" ", unicodedata.normalize("NFC", name))
    words: list[str] = []
    for word in _WORD.findall(spaced.casefold()):
        joined = _JOINED.fullmatch(word)
        words.append(joined[1] if joined else word)
    parts = {_PART_OF_WORD[word] for word in words if word in _PART_OF_WORD}
    if len(parts) != 1:
        return None
    rest = tuple(word for word in words if word not in _PART_OF_WORD and word not in _FILLERS and not word.isdigit())
    return parts.pop(), rest
