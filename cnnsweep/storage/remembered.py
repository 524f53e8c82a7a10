"""Choices that a resumed sweep repeats: groups, fusion plans, and rounds of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RememberedGroup:
    """Runs that were to train together, by id, as `RunGroup` has them, and the conditions of that choice."""

    programs: tuple[tuple[tuple[str, ...], ...], ...]
    is_threaded: bool
    why: str
    step_s: float | None
    conditions: Mapping[str, Any]

    @property
    def runs(self) -> set[str]:
        return {run for program in self.programs for ids in program for run in ids}


def group_from_event(group: Mapping[str, Any], conditions: Mapping[str, Any]) -> RememberedGroup:
    """Return a group of a `planned` event."""
    programs = tuple(tuple(tuple(ids) for ids in program) for program in group["programs"])
    return RememberedGroup(programs, group["threaded"], group["why"], group["step_s"], conditions)


@dataclass(frozen=True, slots=True)
class RememberedWay:
    """Measurements of runs of one family, see `planning.batching.family`, and their conditions.

    Attributes:
        size, threads, why, alone_s, step_s: the fusion plan that was chosen, and its times; see `training.autotune`.
        of: the number of trajectories that it was chosen for.
        most: the number of them that memory had room for.
    """

    size: int
    threads: int
    of: int
    most: int
    why: str
    alone_s: float | None
    step_s: float | None
    conditions: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SuggestedRound:
    """Trials that a sampler suggested at once.

    Attributes:
        space: a hash of the search space and the sampler; suggestions are valid in that space only.
        drawn: the number of suggestions drawn so far, in all rounds, including those that were refused.
        picks: the suggestions, see `samplers.base.Suggestion`.
        trial_ids: one for each of `picks`.
    """

    space: str
    drawn: int
    picks: tuple[Mapping[str, float | int], ...]
    trial_ids: tuple[str, ...]
