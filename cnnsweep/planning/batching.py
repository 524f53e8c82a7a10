"""Runs that may be fused, and their division into groups."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cnnsweep.schedules.base import depends_on_length
from cnnsweep.storage.atomic_files import to_json
from cnnsweep.types import ModelChoice, Run, RunGroup, Trajectory, even_sizes


def runs_of_a_kind(
    runs: Sequence[Run], epochs_done: Mapping[str, int], *, mixes_epochs: bool = False
) -> list[list[Trajectory]]:
    """Return the runs that may train together, by kind, in the order in which the kinds first appear.

    Runs are of one kind if they share model but for dropout, batch size and fold, and have trained for as many epochs;
    each has an optimizer of its own, of whatever kind. Those that see the same batches stand side by side, so that they
    can share them.

    Args:
        epochs_done: by run id; nothing for a run that has not begun.
        mixes_epochs: runs may be of one kind that have not trained for as many epochs.
    """
    kinds: dict[Any, dict[int, list[Run]]] = {}
    for run in runs:
        done = epochs_done.get(run.id, 0)
        kind = (family(run), run.fold, None if mixes_epochs else done)
        kinds.setdefault(kind, {}).setdefault(done, []).append(run)
    return [
        list(itertools.chain.from_iterable(_side_by_side(trajectories(of_epoch)) for of_epoch in kind.values()))
        for kind in kinds.values()
    ]


def family(run: Run) -> str:
    """Return what runs of a kind share whatever they have done and hold out: what decides how they train fastest.

    Sixteen hex digits, which the journal remembers.
    """
    arguments = {name: value for name, value in run.model.arguments.items() if not _is_probability(name)}
    model = _model_key(dataclasses.replace(run.model, arguments=arguments))
    return hashlib.sha256(to_json([model, run.hyperparameters.batch_size]).encode()).hexdigest()[:16]


def by_exact_model(members: Sequence[Trajectory]) -> list[list[Trajectory]]:
    """Return the trajectories of a kind apart where any argument of their models differs."""
    exact: dict[str, list[Trajectory]] = {}
    for runs in members:
        exact.setdefault(_model_key(runs[0].model), []).append(runs)
    return list(exact.values())


def trajectories(runs: Sequence[Run]) -> list[Trajectory]:
    """Return runs that are one training: equal in all but `epochs`, on which their schedule does not depend."""
    same: dict[Any, list[Run]] = {}
    for run in runs:
        h = run.hyperparameters
        key = h if depends_on_length(h.schedule) else dataclasses.replace(h, epochs=0)
        same.setdefault((_model_key(run.model), run.fold, key), []).append(run)
    return [tuple(sorted(members, key=lambda run: run.hyperparameters.epochs)) for members in same.values()]


def split_evenly(members: Sequence[Trajectory], size: int, threads: int = 1) -> list[RunGroup]:
    """Return as few groups of at most `size` trajectories as there can be, none much smaller than the others.

    Args:
        threads: into how many programs a group is divided, each with a thread of its own.
    """
    bounds = itertools.pairwise([0, *itertools.accumulate(even_sizes(len(members), size))])
    return [RunGroup.of(members[start:end], threads if end - start > 1 else 1) for start, end in bounds]


def whole_configurations(members: Sequence[Trajectory]) -> list[list[Trajectory]]:
    """Return the trajectories that have to stay together so that every configuration does, in their order.

    A trajectory may be of several configurations, which differ in `epochs`: they come together.
    """
    joined: dict[str, str] = {}

    def first_of(configuration: str) -> str:
        """Return the one that stands for all that are together with this one."""
        while joined.setdefault(configuration, configuration) != configuration:
            configuration = joined[configuration]
        return configuration

    for runs in members:
        for run in runs[1:]:
            joined[first_of(run.configuration)] = first_of(runs[0].configuration)
    bundles: dict[str, list[Trajectory]] = {}
    for runs in members:
        bundles.setdefault(first_of(runs[0].configuration), []).append(runs)
    return list(bundles.values())


def split_in_step(
    kinds: Sequence[Sequence[Trajectory]], size: int, threads: int = 1, most: int | None = None
) -> list[RunGroup]:
    """Return groups in each of which every configuration is whole, with as many programs as that takes.

    A group has as many configurations as fit into `size` trajectories of each kind, and at least one.

    Args:
        kinds: of one family; each program is of one of them.
        size: how many trajectories train at once.
        threads: how many programs, each with a thread of its own, train so many; 1 if programs take turns.
        most: how many trajectories of all kinds memory has room for.
    """
    bundles = whole_configurations(list(itertools.chain(*kinds)))
    place = {runs[0].id: (number, n) for number, kind in enumerate(kinds) for n, runs in enumerate(kind)}

    def kind_of(runs: Trajectory) -> int:
        return place[runs[0].id][0]

    together = size // max(max(Counter(map(kind_of, bundle)).values()) for bundle in bundles)
    if most is not None:
        together = min(together, most // max(map(len, bundles)))
    bounds = itertools.pairwise([0, *itertools.accumulate(even_sizes(len(bundles), max(1, together)))])
    groups = []
    for start, end in bounds:
        members = sorted(itertools.chain(*bundles[start:end]), key=lambda runs: place[runs[0].id])
        at_once = -(-min(size, len(members)) // threads)
        programs: list[tuple[Trajectory, ...]] = []
        for _, of_kind in itertools.groupby(members, kind_of):
            programs += [program for group in split_evenly(list(of_kind), at_once) for program in group.programs]
        groups.append(RunGroup(tuple(programs), is_threaded=threads > 1 and len(members) > 1))
    return groups


def _model_key(model: ModelChoice) -> str:
    # The journal remembers hashes of this text: what is added to a choice later must not move it.
    return to_json({"name": model.name, "arguments": model.arguments, "code": model.code})


def _is_probability(argument: str) -> bool:
    """True for an argument that should change only what a model draws, such as `dropout` or `stochastic_depth_prob`."""
    return "drop" in argument or argument == "stochastic_depth_prob"


def _side_by_side(members: list[Trajectory]) -> list[Trajectory]:
    first_seen: dict[Any, int] = {}
    for runs in members:
        first_seen.setdefault(runs[0].hyperparameters.view, len(first_seen))
    return sorted(members, key=lambda runs: first_seen[runs[0].hyperparameters.view])
