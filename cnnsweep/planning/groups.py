"""Which runs may train together as one program, and how they are put into groups."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from cnnsweep.recording.files import to_json
from cnnsweep.records import ModelChoice, Run, RunGroup, Trajectory, even_sizes


def runs_of_a_kind(runs: Sequence[Run], epochs_done: Mapping[str, int]) -> list[list[Trajectory]]:
    """Return the runs that may train together, by kind, in the order in which the kinds first appear.

    Runs are of one kind if they share model but for dropout, batch size and kind of optimizer, and have trained for as
    many epochs. Those that see the same batches stand side by side, so that they can share them.

    Args:
        epochs_done: by run id; nothing for a run that has not begun.
    """
    kinds: dict[Any, list[Run]] = {}
    for run in runs:
        h = run.hyperparameters
        arguments = {name: value for name, value in run.model.arguments.items() if not _is_probability(name)}
        model = _model_key(dataclasses.replace(run.model, arguments=arguments))
        kinds.setdefault((model, h.batch_size, h.optimizer, epochs_done.get(run.id, 0)), []).append(run)
    return [_side_by_side(trajectories(kind)) for kind in kinds.values()]


def by_exact_model(members: Sequence[Trajectory]) -> list[list[Trajectory]]:
    """Return the trajectories of a kind apart where any argument of their models differs."""
    exact: dict[str, list[Trajectory]] = {}
    for runs in members:
        exact.setdefault(_model_key(runs[0].model), []).append(runs)
    return list(exact.values())


def trajectories(runs: Sequence[Run]) -> list[Trajectory]:
    """Return runs that are one training: equal in all but `epochs`, with a schedule that does not look at the end."""
    same: dict[Any, list[Run]] = {}
    for run in runs:
        h = run.hyperparameters
        key = h if h.looks_at_end else dataclasses.replace(h, epochs=0)
        same.setdefault((_model_key(run.model), key), []).append(run)
    return [tuple(sorted(members, key=lambda run: run.hyperparameters.epochs)) for members in same.values()]


def split_evenly(members: Sequence[Trajectory], size: int, threads: int = 1) -> list[RunGroup]:
    """Return as few groups of at most `size` trajectories as there can be, none much smaller than the others.

    Args:
        threads: into how many programs a group is divided, each with a thread of its own.
    """
    bounds = itertools.pairwise([0, *itertools.accumulate(even_sizes(len(members), size))])
    return [RunGroup.of(members[start:end], threads if end - start > 1 else 1) for start, end in bounds]


def _model_key(model: ModelChoice) -> str:
    return to_json(dataclasses.asdict(model))


def _is_probability(argument: str) -> bool:
    """True for an argument that should change only what a model draws, such as `dropout` or `stochastic_depth_prob`."""
    return "drop" in argument or argument == "stochastic_depth_prob"


def _side_by_side(members: list[Trajectory]) -> list[Trajectory]:
    first_seen: dict[Any, int] = {}
    for runs in members:
        first_seen.setdefault(runs[0].hyperparameters.view, len(first_seen))
    return sorted(members, key=lambda runs: first_seen[runs[0].hyperparameters.view])
