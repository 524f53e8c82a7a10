"""Texts of several values beside each other: different values never look the same, even with little room."""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import trial_text

FEW_DIGITS = 4  # significant digits of a number with little room
_ALL_DIGITS = 17  # significant digits of a float


def distinct_texts(values: Sequence[Any], digits: int | None = None) -> list[str]:
    """Return each value like `trial_text`; values that would look equal are written in full.

    Args:
        values: values of one hyperparameter; equal ones have equal texts.
        digits: number of significant digits; more if numbers would look alike.
    """
    texts = number_texts(values, digits) if digits is not None else [trial_text(value) for value in values]
    alike = _alike(values, texts)
    if alike:
        texts = [_written_out(value) if text in alike else text for value, text in zip(values, texts, strict=True)]
        if _alike(values, texts):  # such as characters that cannot be shown
            texts = _numbered(values, texts)
    return texts


def number_texts(values: Sequence[Any], digits: int) -> list[str]:
    """Return numbers with the fewest distinguishing digits, at least `digits`; other values in full."""
    floats = [value for value in values if isinstance(value, float) and math.isfinite(value)]
    different = len(set(floats))
    needed = next(
        (n for n in range(digits, _ALL_DIGITS) if len({f"{value:.{n}g}" for value in floats}) == different),
        _ALL_DIGITS,
    )
    return [f"{value:.{needed}g}" if isinstance(value, float) else trial_text(value) for value in values]


def cut_texts(texts: Sequence[str], most: int) -> list[str]:
    """Return texts of at most `most` characters; different ones stay different.

    Ends are cut, or middles if only the ends differ; as a last resort, texts are numbered.
    """
    ways: tuple[Callable[[str], str], ...] = (
        lambda text: text[: most - 1] + "…",
        lambda text: text[: most // 3] + "…" + text[len(text) - (most - 1 - most // 3) :],
    )
    for cut in ways:
        found = [text if len(text) <= most else cut(text) for text in texts]
        if not _alike(texts, found):
            return found
    return _numbered(texts, [text if len(text) <= most else text[: most - 5] + "…" for text in texts])


def identity_of(value: Any) -> str:
    """Return a text that is equal for equal values: 1 and 1.0 are, 1 and true, and 1 and '1', are not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    return json.dumps(value, sort_keys=True, default=str)


def _alike(values: Sequence[Any], texts: Sequence[str]) -> set[str]:
    """Return the texts shared by different values."""
    counts = Counter(text for text, _ in {(text, identity_of(v)) for text, v in zip(texts, values, strict=True)})
    return {text for text, count in counts.items() if count > 1}


def _written_out(value: Any) -> str:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return f"'{safe_text(value)}'"
    return safe_text(json.dumps(value, ensure_ascii=False, default=str))


def _numbered(values: Sequence[Any], texts: Sequence[str]) -> list[str]:
    """Return the texts, repeated ones of a further value with a number."""
    known: dict[str, list[str]] = {}
    numbered = []
    for value, text in zip(values, texts, strict=True):
        others = known.setdefault(text, [])
        if identity_of(value) not in others:
            others.append(identity_of(value))
        place = others.index(identity_of(value))
        numbered.append(f"{text} ({place + 1})" if place else text)
    return numbered
