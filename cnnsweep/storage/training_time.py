"""Time that the commands of a sweep have trained, by the times in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(slots=True)
class TrainingTime:
    """Seconds that all commands have trained: what passed on a clock.

    The runs' own durations have another sum: runs of one group share each second, and runs in several workers each
    count it.

    Attributes:
        before: seconds of earlier commands.
        began: the time at which the present command chose its first groups.
        ended: the time of its end, or so far of its last event.
        measured: seconds of the present command by a clock that cannot be set.
    """

    before: float = 0.0
    began: str | None = None
    ended: str | None = None
    has_left: bool = False
    measured: float | None = None

    @property
    def of_command(self) -> float:
        """Seconds that the present command has trained, including measuring and writing.

        They count from its choice of groups to its end, which has them; until then to its last event. Loading data is
        no part of them, nor is a later test or `clean`.
        """
        if self.measured is not None:
            return max(self.measured, 0.0)
        if self.began is None or self.ended is None:
            return 0.0
        try:
            passed = datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.began)
        except (ValueError, TypeError):  # no cnnsweep wrote such times
            return 0.0
        return max(passed.total_seconds(), 0.0)

    @property
    def elapsed(self) -> float:
        """Seconds of all commands together."""
        return self.before + self.of_command

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take one more event into account."""
        kind, time = event["event"], event["time"]
        if kind == "sweep":
            self.before, self.began, self.ended = self.elapsed, None, None
            self.has_left, self.measured = False, None
        elif kind == "planned" and self.began is None:
            self.began = time
        has_news = kind == "left" or (self.began is not None and kind not in ("tested", "cleaned"))
        if has_news and not self.has_left:
            self.ended, self.has_left = time, kind == "left"
        if kind == "left":
            self.measured = event.get("elapsed")  # earlier journals do not have it
