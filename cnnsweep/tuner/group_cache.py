"""Groups remembered by the journal, and the conditions of their choice."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from cnnsweep.planning.batching import family
from cnnsweep.planning.stage import TO_THE_ENDS, Stage
from cnnsweep.storage.remembered import RememberedGroup, RememberedWay
from cnnsweep.storage.state import SweepState
from cnnsweep.training.data_module import DataModule
from cnnsweep.types import Run, RunGroup

Fuse = str | int  # auto, off, or the largest number of runs in a group
AUTO, OFF = "auto", "off"


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """Runs that train together, or one alone, and why.

    Attributes:
        step_s: seconds of a training step of one run, if measured.
        way: the measurement of this family, if there is one.
    """

    group: RunGroup
    why: str
    step_s: float | None = None
    way: RememberedWay | None = None


def conditions(
    task: DataModule, fuse: Fuse, *, lockstep: bool = False, stage: Stage = TO_THE_ENDS, slots: int = 1
) -> dict[str, Any]:
    """Return the conditions under which a choice of groups is valid.

    Args:
        lockstep, stage: see `choose_groups`.
        slots: the number of groups that train at once.
    """
    return {
        **({"places": slots} if slots > 1 else {}),
        **({"in_step": True} if lockstep else {}),
        **stage.mark,
        "fuse": fuse,
        "device": str(task.device),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def event_from_groups(
    planned: Sequence[PlannedGroup], under: Mapping[str, Any], stage: Stage = TO_THE_ENDS
) -> dict[str, Any]:
    """Return the fields of the journal's `planned` event."""
    groups = [
        {
            "programs": [[[run.id for run in runs] for runs in program] for program in one.group.programs],
            "threaded": one.group.is_threaded,
            "why": one.why,
            "step_s": one.step_s,
            "kind": family(one.group.runs[0]),
            "way": None if one.way is None else _way_to_json(one.way),
            **({"companions": dict(one.group.companions)} if one.group.companions else {}),
        }
        for one in planned
    ]
    stop_epochs = (
        {"goals": dict(stage.stop_epochs)} if stage.mixed_epochs else {}
    )  # else one epoch, which the conditions have
    return {"conditions": dict(under), "groups": groups, **stop_epochs}


def _way_to_json(way: RememberedWay) -> dict[str, Any]:
    fields = dataclasses.asdict(way)
    del fields["conditions"]  # the event has them, once for all its groups
    return fields


def repeated_groups(
    missing: Sequence[Run], history: SweepState, under: Mapping[str, Any], everyone: Sequence[Run]
) -> list[PlannedGroup]:
    """Return the groups of runs that have lost epochs which others of their groups, which have ended, still have.

    Their journal or checkpoint was damaged. The others train along up to their last epochs, so that the program is the
    same as before: the last bits of results depend on the size of a group. A run tried again after a failure has lost
    nothing.

    Args:
        everyone: every run of the sweep; a group with others cannot be repeated.
    """
    by_id, waiting = {run.id: run for run in everyone}, {run.id for run in missing}
    groups: list[RememberedGroup] = []
    planned: list[PlannedGroup] = []
    for run in missing:
        known = history.runs.get(run.id)
        group = None if known is None or known.status.is_final else known.group_to_repeat
        if known is None or group is None or group in groups:
            continue
        if group.conditions != under or not group.runs <= by_id.keys():
            continue
        ended = {
            one: len(history.runs[one].records)
            for one in group.runs - waiting
            if len(history.runs[one].records) > len(known.records)
        }
        if ended:
            groups.append(group)
            taken = {one.id for earlier in planned for one in earlier.group.runs}
            programs = [
                [tuple(by_id[i] for i in ids if i in ended or i in waiting - taken) for ids in trajectories]
                for trajectories in group.programs
            ]
            left = [tuple(runs for runs in trajectories if runs) for trajectories in programs]
            again = RunGroup(tuple(filter(None, left)), group.is_threaded, companions=ended)
            planned.append(PlannedGroup(again, group.why, group.step_s))
    return planned


def remembered_groups(
    missing: Sequence[Run], history: SweepState, under: Mapping[str, Any], stop_epochs: Mapping[str, int]
) -> list[PlannedGroup]:
    """Return the groups that were chosen under the same conditions, with their pending runs.

    Args:
        stop_epochs: see `Stage`.
    """
    by_id = {run.id: run for run in missing}
    planned = []
    for remembered in history.groups:
        if remembered.conditions != under:
            continue
        # A run that has ended leaves its place empty: the others keep their program.
        programs = [
            [tuple(by_id[i] for i in ids if i in by_id) for ids in trajectories] for trajectories in remembered.programs
        ]
        left = [tuple(runs for runs in trajectories if runs) for trajectories in programs]
        if any(left):
            group = RunGroup(tuple(program for program in left if program), remembered.is_threaded, stop_epochs)
            planned.append(PlannedGroup(group, remembered.why, remembered.step_s))
    return planned


def without_torn(remembered: Sequence[PlannedGroup], missing: Sequence[Run]) -> list[PlannedGroup]:
    """Return the groups without those of trials that have runs outside of all groups, such as new seeds."""
    kept = list(remembered)
    while True:
        known = {run.id for one in kept for run in one.group.runs}
        torn = {run.trial_id for run in missing if run.id not in known}
        whole = [one for one in kept if not any(run.trial_id in torn for run in one.group.runs)]
        if len(whole) == len(kept):
            return kept
        kept = whole
