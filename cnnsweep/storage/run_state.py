"""State of one run, as the journal's events leave it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cnnsweep.storage.remembered import RememberedGroup
from cnnsweep.types import EpochRecord, RunOutcome, RunStatus


@dataclass(slots=True)
class RunState:
    """State of one run; see `Run` for most of its fields.

    Attributes:
        epochs: the number of epochs to train; None where a journal of an earlier version does not have it.
        checkpoints: the SHA-256 of each last checkpoint, with its epoch.
        best_weights: the digest of the weights, by each epoch that was the best at its end.
        groups: the groups in which it was to train, each with the number of its epochs by then.
        epochs_before: epochs of earlier commands.
    """

    id: str
    name: str
    params: Mapping[str, Any]
    parameters: int
    trial_id: str
    fold: int | None = None
    epochs: int | None = None
    records: list[EpochRecord] = field(default_factory=list)
    checkpoints: dict[str, int] = field(default_factory=dict)
    best_weights: dict[int, str] = field(default_factory=dict)
    outcome: RunOutcome | None = None
    groups: list[tuple[int, RememberedGroup]] = field(default_factory=list)
    epochs_before: int = 0

    @property
    def status(self) -> RunStatus:
        if self.outcome is not None:
            return self.outcome.status
        return RunStatus.RUNNING if self.records else RunStatus.WAITING

    def remember(self, group: RememberedGroup) -> None:
        """Note the group of the next epochs, in place of the one noted for them before."""
        done = len(self.records)
        self.groups = [*(one for one in self.groups if one[0] < done), (done, group)]

    @property
    def group_to_repeat(self) -> RememberedGroup | None:
        """The group in which the next epoch was, or was to be, trained."""
        return next((group for done, group in reversed(self.groups) if done <= len(self.records)), None)

    def forget_after(self, epoch: int) -> None:
        """Drop everything after an epoch, and the outcome of the run."""
        self.records = [r for r in self.records if r.epoch <= epoch]
        self.checkpoints = {sha: e for sha, e in self.checkpoints.items() if e <= epoch}
        self.best_weights = {e: sha for e, sha in self.best_weights.items() if e <= epoch}
        self.epochs_before = min(self.epochs_before, epoch)
        self.outcome = None


def run_state_from_event(event: Mapping[str, Any]) -> RunState:
    """Return the state of a run after its `run` event."""
    return RunState(
        event["run"],
        event["name"],
        event["settings"],
        event["parameters"],
        event.get("configuration", event["run"]),
        event.get("fold"),
        event.get("epochs"),
    )
