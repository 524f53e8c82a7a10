"""Which runs may train together as one program, and how they are put into groups."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from cnnsweep.recording.files import to_json
from cnnsweep.records import Run, RunGroup, even_sizes

Trajectory = tuple[Run, ...]


def runs_of_a_kind(runs: Sequence[Run], epochs_done: Mapping[str, int]) -> list[list[Trajectory]]:
    """Return the runs that may train together, by kind, in the order in which the kinds first appear.

    Runs are of one kind if they share model, batch size and kind of optimizer, and have trained for as many epochs.
    Those that see the same batches stand side by side, so that they can share them.

    Args:
        epochs_done: by run id; nothing for a run that has not begun.
    """
    kinds: dict[Any, list[Run]] = {}
    for run in runs:
        h = run.hyperparameters
        key = (to_json(dataclasses.asdict(run.model)), h.batch_size, h.optimizer, epochs_done.get(run.id, 0))
        kinds.setdefault(key, []).append(run)
    return [_side_by_side(trajectories(kind)) for kind in kinds.values()]


def trajectories(runs: Sequence[Run]) -> list[Trajectory]:
    """Return runs that are one training: equal in all but `epochs`, with a schedule that does not look at the end."""
    same: dict[Any, list[Run]] = {}
    for run in runs:
        h = run.hyperparameters
        key = h if h.looks_at_end else dataclasses.replace(h, epochs=0)
        same.setdefault((to_json(dataclasses.asdict(run.model)), key), []).append(run)
    return [tuple(sorted(members, key=lambda run: run.hyperparameters.epochs)) for members in same.values()]


def split_evenly(members: Sequence[Trajectory], size: int) -> list[RunGroup]:
    """Return as few groups of at most `size` trajectories as there can be, none much smaller than the others."""
    bounds = [0, *itertools.accumulate(even_sizes(len(members), size))]
    return [RunGroup(tuple(members[start:end])) for start, end in itertools.pairwise(bounds)]


def _side_by_side(members: list[Trajectory]) -> list[Trajectory]:
    first_seen: dict[Any, int] = {}
    for runs in members:
        first_seen.setdefault(runs[0].hyperparameters.view, len(first_seen))
    return sorted(members, key=lambda runs: first_seen[runs[0].hyperparameters.view])
