"""Stage: the epochs that runs train before the next decision, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cnnsweep.config.schema import SweepSpec
from cnnsweep.config.trials import columns_that_vary


@dataclass(frozen=True, slots=True)
class Stage:
    """Epochs that some runs train before the next decision.

    Attributes:
        stop_epochs: by run id, the epoch after which it waits; empty if runs train to their ends.
        mark: key of the stage's groups in the journal.
        mixed_epochs: runs at different epochs train together, each the same number of epochs.
    """

    stop_epochs: Mapping[str, int] = field(default_factory=dict)
    mark: Mapping[str, int] = field(default_factory=dict)
    mixed_epochs: bool = False

    @classmethod
    def to_rung(cls, rung: int, run_ids: Iterable[str]) -> Stage:
        """Return the stage in which all runs train up to the same epoch."""
        return cls(dict.fromkeys(run_ids, rung), {_RUNG: rung})

    @classmethod
    def in_passing(cls, number: int, stop_epochs: Mapping[str, int]) -> Stage:
        """Return the stage in which each run continues from its own epoch; such stages are numbered."""
        return cls(dict(stop_epochs), {_NUMBER: number}, mixed_epochs=True)


TO_THE_ENDS = Stage()
_RUNG, _NUMBER = "rung", "leg"


def keeps_lockstep(spec: SweepSpec) -> bool:
    """Return True if trials are compared after every epoch over several runs of each, which then train epoch by epoch.

    At rungs they wait for each other anyway.
    """
    decides_every_epoch = spec.early_stop is not None and not spec.early_stop.has_rungs
    return decides_every_epoch and bool({"seed", "fold"} & set(columns_that_vary(spec)))


def without_mark(conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the conditions of the choice of groups, without the stage's key."""
    return {name: value for name, value in conditions.items() if name not in (_RUNG, _NUMBER)}
