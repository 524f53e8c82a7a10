"""When a sweep gives up: what fails alike over and over will most likely go on to."""

from __future__ import annotations

from cnnsweep.types import FailureKind, RunOutcome, RunStatus

MOST_ALIKE = 5


class FailureStreak:
    """Counts runs that failed alike, of one kind and with one cause, with no run in between that got on.

    A run that diverged says nothing of the others, and so does not count; neither does one that was interrupted.

    Args:
        limit: after how many it is time to give up; 0 is never.
    """

    def __init__(self, limit: int = MOST_ALIKE) -> None:
        self._limit = limit
        self._last: tuple[FailureKind | None, str | None] | None = None
        self._count = 0

    def note(self, outcome: RunOutcome) -> None:
        """Take in how a run ended."""
        if outcome.status is RunStatus.FAILED:
            alike = (outcome.failure, outcome.cause)
            self._count = self._count + 1 if alike == self._last else 1
            self._last = alike
        elif outcome.status in (RunStatus.FINISHED, RunStatus.STOPPED, RunStatus.WAITING):  # it got on
            self._last, self._count = None, 0

    @property
    def reason(self) -> str | None:
        """Why to give up, in words; None while there is no reason."""
        if not self._limit or self._count < self._limit:
            return None
        assert self._last is not None
        kind, cause = self._last
        runs = "the run" if self._count == 1 else f"{self._count} runs in a row"
        return f"{runs} failed{' alike' if self._count > 1 else ''} ({kind}: {cause})"
