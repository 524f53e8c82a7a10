"""One epoch of a group: the runs that are due, and what was measured."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from cnnsweep.metrics.names import is_on_validation
from cnnsweep.training.trial_slots import SlotState, TrialSlot
from cnnsweep.types import EMA, PLAIN, SWA


@dataclass(frozen=True, slots=True)
class GroupEpoch:
    """An epoch of a group, about to be trained.

    Attributes:
        progress: see `TrialSlot.progress`.
        numbers: the epoch number of each slot.
        due: the runs of each slot that have not trained it; after a crash some are one epoch ahead.
        start: in seconds of `time.perf_counter`.
    """

    progress: int
    trial_slots: Sequence[TrialSlot]
    numbers: Sequence[int]
    due: Sequence[Sequence[SlotState]]
    start: float

    @classmethod
    def next_of(cls, trial_slots: Sequence[TrialSlot]) -> GroupEpoch:
        start = time.perf_counter()
        progress = min(trial_slot.progress for trial_slot in trial_slots if trial_slot.members) + 1
        numbers = [trial_slot.epoch_at(progress) for trial_slot in trial_slots]
        due = [
            [member for member in trial_slot.members if member.epochs_done < number]
            for trial_slot, number in zip(trial_slots, numbers, strict=True)
        ]
        return cls(progress, trial_slots, numbers, due, start)

    def is_done(self, part: slice) -> bool:
        """True if no run of a learner needs this epoch, so that the learner waits for the others."""
        return all(
            trial_slot.progress >= self.progress or not trial_slot.members for trial_slot in self.trial_slots[part]
        )

    def run_ids(self, part: slice) -> list[str]:
        return [member.run.id for members in self.due[part] for member in members]


@dataclass(frozen=True, slots=True)
class Measured:
    """Metrics of an epoch of one run, on the CPU.

    Attributes:
        batch_losses: (batches,) float64.
        metrics: see `EpochRecord`.
        rate: the learning rate of the last step.
        averaged: the metrics on held-out images with the moving average of the weights; None without `ema`.
    """

    batch_losses: Tensor
    metrics: Mapping[str, float | None]
    rate: float
    averaged: Mapping[str, float | None] | None = None

    def by_weights(self, mean: Mapping[str, float | None] | None) -> dict[str, Mapping[str, float | None]]:
        """Return the metrics on held-out images with the plain weights and each average; none are held out: empty."""
        plain = {name: value for name, value in self.metrics.items() if is_on_validation(name) and value is not None}
        measured = {PLAIN: plain, EMA: self.averaged, SWA: mean}
        return {name: values for name, values in measured.items() if values is not None}
