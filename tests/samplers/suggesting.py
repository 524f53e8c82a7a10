"""Samplers bound to a search space, so that tests need not repeat it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cnnsweep.samplers.base import SAMPLERS, Observation, Sampler, Suggestion
from cnnsweep.samplers.space import Dimension, SearchSpace


@dataclass(frozen=True)
class Bound:
    sampler: Sampler
    space: SearchSpace

    def suggest(self, observations: Sequence[Observation], drawn: int, count: int) -> list[Suggestion]:
        return self.sampler.suggest(self.space, observations, drawn, count)


def bound(method: str, seed: int, dimensions: Sequence[Dimension], mode: str) -> Bound:
    """Return a built-in sampler over these dimensions."""
    return Bound(SAMPLERS.get(method)(runs=30, seed=seed), SearchSpace(tuple(dimensions), mode))
