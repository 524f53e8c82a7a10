"""Results of checks, as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """Severity of a diagnostic."""

    GOOD = "good"
    NOTE = "note"  # worth knowing; nothing has to be done, or the next command does it
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check.

    Attributes:
        subject: the checked package, file or run.
        words: the result.
        remedy: the next step.
    """

    level: Level
    subject: str
    words: str
    remedy: str | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "level": str(self.level)}


def good(subject: str, words: str) -> Finding:
    """Return a diagnostic without a problem."""
    return Finding(Level.GOOD, subject, words)


def note(subject: str, words: str, remedy: str | None = None) -> Finding:
    """Return a diagnostic for information."""
    return Finding(Level.NOTE, subject, words, remedy)


def problem(subject: str, words: str, remedy: str) -> Finding:
    """Return a diagnostic of a problem."""
    return Finding(Level.PROBLEM, subject, words, remedy)


def has_problems(findings: Iterable[Finding]) -> bool:
    """True if there is a problem."""
    return any(finding.level is Level.PROBLEM for finding in findings)
