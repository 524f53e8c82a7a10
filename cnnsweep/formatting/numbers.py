"""Texts of numbers for readers: accuracies, losses, durations and parameters."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from cnnsweep.formatting.escape import safe_text
from cnnsweep.metrics.names import ACCURACY, is_on_validation, range_of, without_prefix
from cnnsweep.types import OR_NONE

UNKNOWN = "–"
_PARTING = frozenset("[]{},:'\"")


def metric_text(metric: str, value: float | None) -> str:
    """Return a value with four decimals if its range is bounded, else with four digits; a dash for a missing value."""
    if value is None:
        return UNKNOWN
    if not math.isfinite(value):
        return str(value)
    return f"{value:.4f}" if math.isfinite(range_of(metric)[1]) else _four_digits(value)


def metric_texts(metric: str, values: Sequence[float | None]) -> list[str]:
    """Return several values of a metric for comparison, with more digits if they would look equal."""
    texts = [metric_text(metric, value) for value in values]
    known = {value for value in values if value is not None and math.isfinite(value)}
    digits = 5
    while len(set(texts)) < len(set(values)) and len(known) > 1 and digits <= 17:
        texts = [
            f"{value:.{digits}g}" if value is not None and math.isfinite(value) else metric_text(metric, value)
            for value in values
        ]
        digits += 1
    return texts


def _four_digits(value: float) -> str:
    if value and not 1e-4 <= abs(value) < 1e4:
        return f"{value:.3e}"
    return f"{value:#.4g}".rstrip(".")  # '#' keeps trailing zeros, so that a column of losses is aligned


@cache
def short_name(metric: str) -> str:
    """Return a metric's name for narrow columns: `acc`, `val loss`."""
    name = without_prefix(metric)
    return f"{'val ' if is_on_validation(metric) else ''}{'acc' if name == ACCURACY else name}"


def metric_header(metric: str, objective_metric: str, mode: str) -> str:
    """Return a metric's column header; the deciding one carries an arrow in the direction of better values."""
    header = short_name(metric)
    if metric != objective_metric:
        return header
    return f"{header} {'↑' if mode == 'max' else '↓'}"


def duration_text(seconds: float | None) -> str:
    """Return a duration in its usual units: `1.3 s`, `2 m 05 s`, `1 h 12 m`, `3 d 04 h`."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    seconds = max(seconds, 0.0)
    if seconds < 0.095:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} m"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24:02d} h"


def epochs_text(done: int, planned: int | None) -> str:
    """Return a run's epochs: `2/40`, with a dash if the planned number is unknown."""
    return f"{done}/{UNKNOWN if planned is None else planned}"


def estimate_text(seconds: float | None) -> str:
    """Return an estimated duration, without tenths of seconds; a dash if unknown."""
    if seconds is None:
        return UNKNOWN
    return f"{math.ceil(seconds)} s" if seconds < 59 else duration_text(seconds)


def trial_text(value: Any) -> str:
    """Return a hyperparameter's value as the sweep file would write it: `true`, `0.001`, `[6, 12]`, `adam`, `'3'`.

    Different values have different texts, except numbers that differ in their 16th digit, and `none` as a text. Use
    `distinct.distinct_texts` if such values may be shown together.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.15g}"  # all written digits, without the rounding error of 0.1 + 0.2
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_part_text(str(key))}: {_part_text(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_part_text, value)) + "]"
    text = safe_text(value)
    return f"'{text}'" if isinstance(value, str) and _reads_as_another_value(value) else text


def compact_text(value: Any) -> str:
    """Return a mapping with little room, `focal,gamma=2` or `cat=2,dog=1`; an empty text for anything else."""
    if not isinstance(value, Mapping):
        return ""
    texts = {key: trial_text(part) for key, part in value.items()}
    is_name = isinstance(value.get("name"), str)
    return ",".join(text if is_name and key == "name" else f"{safe_text(key)}={text}" for key, text in texts.items())


def _part_text(value: Any) -> str:
    """Return a value inside a list or mapping, where some characters would separate it."""
    text = trial_text(value)
    is_plain = not isinstance(value, str) or text[:1] == "'" or not _PARTING.intersection(text)
    return text if is_plain else "'" + text.replace("'", "''") + "'"


def _reads_as_another_value(text: str) -> bool:
    """True for a text that needs quotes in the sweep file, since it would be a number or a constant without them."""
    if text.strip() != text or text.casefold() in ("", "true", "false", "null", "~"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_unused(name: str, value: Any) -> bool:
    """True if a run does not use a hyperparameter, such as the momentum of an optimizer without one."""
    return value is None and name not in OR_NONE


def trials_text(settings: Mapping[str, Any], names: Iterable[str], separator: str = " ") -> str:
    """Return `lr=0.01 batch_size=100`, for the `names` that the run has and uses."""
    return separator.join(
        f"{safe_text(name)}={trial_text(settings[name])}"
        for name in names
        if name in settings and not is_unused(name, settings[name])
    )


def align_points(texts: Sequence[str]) -> list[str]:
    """Return the numbers padded at the right, so that their decimal points align in a right-justified column.

    Words (`nan`, a dash) are unchanged; so is every text if a number has an exponent.
    """
    if any("e" in text for text in texts):
        return list(texts)
    tails = [len(text) - text.index(".") if "." in text else 0 for text in texts]
    longest = max(tails, default=0)
    return [
        text + " " * (longest - tail) if text[-1:].isdigit() else text for text, tail in zip(texts, tails, strict=True)
    ]


def count_text(count: int, noun: str, plural: str | None = None) -> str:
    """Return `1 run`, `8 runs` or `10,000 runs`; irregular nouns need their plural."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or noun + 's'}"


def bar_text(share: float, width: int) -> str:
    """Return a bar of `share` (0 to 1) of `width` characters, in steps of half a character."""
    halves = round(min(max(share, 0.0), 1.0) * width * 2)
    return "━" * (halves // 2) + "╸" * (halves % 2)


def bytes_text(count: int | None) -> str:
    """Return `120 kB`, `35 MB` or `1.2 GB`."""
    if count is None:
        return UNKNOWN
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}" if count < 10 * size else f"{count / size:.0f} {unit}"
    return f"{max(round(count / 1e3), 1)} kB"
