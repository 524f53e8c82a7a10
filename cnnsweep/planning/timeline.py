"""Forecast timeline of a sweep: the activity of each slot, and the totals."""

from __future__ import annotations

from dataclasses import dataclass

from cnnsweep.planning.scheduling import Slot
from cnnsweep.types import RunGroup

_NOTICEABLE = 0.1  # share of the slots' total time


@dataclass(frozen=True, slots=True)
class Bar:
    """Activity of a slot, with start and end."""

    place: int
    group: RunGroup
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """Forecast timeline of a sweep. Seconds of slots are summed over all slots.

    Attributes:
        bars: in the order of their ends.
        makespan_s: time until everything has ended.
        training_s: time of slots on epochs that count.
        wasted_s: time of slots on epochs that were lost with their node.
        recording_s: time of the single process that writes all results.
        waiting_s: time of slots waiting for that process.
        lost_nodes: number of times that a node was lost.
    """

    slots: tuple[Slot, ...]
    bars: tuple[Bar, ...]
    makespan_s: float
    training_s: float
    wasted_s: float
    recording_s: float
    waiting_s: float
    lost_nodes: int

    @property
    def paid_s(self) -> float:
        """Seconds of all slots from the start to the end, busy or not."""
        return len(self.slots) * self.makespan_s

    @property
    def utilisation(self) -> float:
        """Share of the slots' time spent on epochs that count."""
        return self.training_s / self.paid_s if self.paid_s else 0.0

    @property
    def is_bound_by_recording(self) -> bool:
        return self.waiting_s > _NOTICEABLE * self.paid_s

    @property
    def most_slots(self) -> float:
        """Maximum number of slots that the writing process can keep busy."""
        return 1 + self.training_s / self.recording_s
