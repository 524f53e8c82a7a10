"""Batching of runs: division into groups that can train as one fused program."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cnnsweep.schedules.base import depends_on_length
from cnnsweep.storage.atomic_files import to_json
from cnnsweep.types import Hyperparameters, ModelChoice, Run, RunGroup, Trajectory, even_sizes

_OF_STEPS = {"accumulate": 1, "drop_last": False, "freeze_bn": False}  # the same for all runs of a program


def runs_of_a_kind(
    runs: Sequence[Run], epochs_done: Mapping[str, int], *, mixed_epochs: bool = False
) -> list[list[Trajectory]]:
    """Return the runs that may train together, by batch key, in order of first appearance.

    Runs have one batch key if they have equal models except for dropout, equal batch size, `accumulate`, `drop_last`,
    `freeze_bn` and fold, and have trained the same number of epochs; optimizers may differ. Runs with the same batches
    are neighbours, so that they can share them.

    Args:
        epochs_done: by run id; missing for a run that has not started.
        mixed_epochs: runs with different numbers of trained epochs may share a key.
    """
    kinds: dict[Any, dict[int, list[Run]]] = {}
    for run in runs:
        done = epochs_done.get(run.id, 0)
        kind = (family(run), run.fold, None if mixed_epochs else done)
        kinds.setdefault(kind, {}).setdefault(done, []).append(run)
    return [
        list(itertools.chain.from_iterable(_side_by_side(trajectories(of_epoch)) for of_epoch in kind.values()))
        for kind in kinds.values()
    ]


def family(run: Run) -> str:
    """Return the key without epochs and fold, under which the fastest grouping is cached.

    It has sixteen hex digits, and is recorded in the journal.
    """
    arguments = {name: value for name, value in run.model.arguments.items() if not _is_probability(name)}
    model = _model_key(dataclasses.replace(run.model, arguments=arguments))
    h = run.hyperparameters
    # The journal has hashes of this text: values that are added later enter only where they differ from the defaults.
    later = {name: getattr(h, name) for name, default in _OF_STEPS.items() if getattr(h, name) != default}
    return hashlib.sha256(to_json([model, h.batch_size, *filter(None, [later])]).encode()).hexdigest()[:16]


def by_exact_model(members: Sequence[Trajectory]) -> list[list[Trajectory]]:
    """Return the trajectories of a batch key, split by all arguments of their models."""
    exact: dict[str, list[Trajectory]] = {}
    for runs in members:
        exact.setdefault(_model_key(runs[0].model), []).append(runs)
    return list(exact.values())


def trajectories(runs: Sequence[Run]) -> list[Trajectory]:
    """Return runs that are one training: equal in all but `epochs`, on which their schedule does not depend."""
    same: dict[Any, list[Run]] = {}
    for run in runs:
        h = run.hyperparameters
        key = h if is_of_one_length(h) else dataclasses.replace(h, epochs=0)
        same.setdefault((_model_key(run.model), run.fold, key), []).append(run)
    return [tuple(sorted(members, key=lambda run: run.hyperparameters.epochs)) for members in same.values()]


def is_of_one_length(h: Hyperparameters) -> bool:
    """True if runs that differ in `epochs` alone do not have the same weights after each epoch."""
    return depends_on_length(h.schedule) or h.swa is not None


def split_evenly(members: Sequence[Trajectory], size: int, threads: int = 1) -> list[RunGroup]:
    """Return the fewest groups of at most `size` trajectories, of nearly equal sizes.

    Args:
        threads: number of learners of a group, each with its own thread.
    """
    bounds = itertools.pairwise([0, *itertools.accumulate(even_sizes(len(members), size))])
    return [RunGroup.of(members[start:end], threads if end - start > 1 else 1) for start, end in bounds]


def whole_trials(members: Sequence[Trajectory]) -> list[list[Trajectory]]:
    """Return the trajectories in bundles, in order, such that every trial is whole in one bundle.

    Trials that differ in `epochs` may share a trajectory: they are in one bundle.
    """
    joined: dict[str, str] = {}

    def first_of(trial_id: str) -> str:
        """Return the representative of the bundle."""
        while joined.setdefault(trial_id, trial_id) != trial_id:
            trial_id = joined[trial_id]
        return trial_id

    for runs in members:
        for run in runs[1:]:
            joined[first_of(run.trial_id)] = first_of(runs[0].trial_id)
    bundles: dict[str, list[Trajectory]] = {}
    for runs in members:
        bundles.setdefault(first_of(runs[0].trial_id), []).append(runs)
    return list(bundles.values())


def split_lockstep(
    kinds: Sequence[Sequence[Trajectory]], size: int, threads: int = 1, most: int | None = None
) -> list[RunGroup]:
    """Return groups of whole trials, with the learners that they need.

    A group has the trials that fit into `size` trajectories of each batch key, and at least one.

    Args:
        kinds: batch keys of one family; each learner has one of them.
        size: number of trajectories that train at once.
        threads: number of learners that train at once, each with its own thread; 1 if learners take turns.
        most: number of trajectories of all batch keys that fit into memory.
    """
    bundles = whole_trials(list(itertools.chain(*kinds)))
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
    # The journal has hashes of this text: a field added later must not change it.
    return to_json({"name": model.name, "arguments": model.arguments, "code": model.code})


def _is_probability(argument: str) -> bool:
    """True for an argument that affects only a model's random draws, such as `dropout` or `stochastic_depth_prob`."""
    return "drop" in argument or argument == "stochastic_depth_prob"


def _side_by_side(members: list[Trajectory]) -> list[Trajectory]:
    first_seen: dict[Any, int] = {}
    for runs in members:
        first_seen.setdefault(runs[0].hyperparameters.view, len(first_seen))
    return sorted(members, key=lambda runs: first_seen[runs[0].hyperparameters.view])
