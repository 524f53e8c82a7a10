"""Stops a sweep after a number of consecutive failures with the same cause."""

from __future__ import annotations

from typing import ClassVar

from cnnsweep.callbacks import Callback, ErrorPolicy
from cnnsweep.types import FailureKind, RunOutcome, RunStatus

MOST_ALIKE = 5


class FailureLimit(Callback):
    """Counts consecutive failures of the same kind and cause. Any success resets the count.

    A run that diverged is no sign for the others, and so does not count; neither does an interrupted one.

    Args:
        limit: the number of failures at which the sweep stops; 0 is never.
    """

    error_policy: ClassVar[ErrorPolicy] = ErrorPolicy.RAISE

    def __init__(self, limit: int = MOST_ALIKE) -> None:
        self._limit = limit
        self._last: tuple[FailureKind | None, str | None] | None = None
        self._count = 0

    def on_run_end(self, outcome: RunOutcome) -> None:
        """Count a failure, or reset the count."""
        if outcome.status is RunStatus.FAILED:
            alike = (outcome.failure, outcome.cause)
            self._count = self._count + 1 if alike == self._last else 1
            self._last = alike
        elif outcome.status in (RunStatus.FINISHED, RunStatus.STOPPED, RunStatus.WAITING):  # a success
            self._last, self._count = None, 0

    @property
    def reason(self) -> str | None:
        """The reason to stop, as text; None below the limit."""
        if not self._limit or self._count < self._limit:
            return None
        assert self._last is not None
        kind, cause = self._last
        runs = "the run" if self._count == 1 else f"{self._count} runs in a row"
        return f"{runs} failed{' alike' if self._count > 1 else ''} ({kind}: {cause})"
