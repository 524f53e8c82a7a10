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
class Diagnostic:
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


def good(subject: str, words: str) -> Diagnostic:
    """Return a diagnostic without a problem."""
    return Diagnostic(Level.GOOD, subject, words)


def note(subject: str, words: str, remedy: str | None = None) -> Diagnostic:
    """Return a diagnostic for information."""
    return Diagnostic(Level.NOTE, subject, words, remedy)


def problem(subject: str, words: str, remedy: str) -> Diagnostic:
    """Return a diagnostic of a problem."""
    return Diagnostic(Level.PROBLEM, subject, words, remedy)


def has_problems(diagnostics: Iterable[Diagnostic]) -> bool:
    """True if there is a problem."""
    return any(diagnostic.level is Level.PROBLEM for diagnostic in diagnostics)
