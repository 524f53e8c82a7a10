"""Random search (Bergstra and Bengio 2012)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from cnnsweep.samplers.base import Observation, Sampler, Suggestion
from cnnsweep.samplers.space import SearchSpace


class Random(Sampler, name="random"):
    """Independent draws. Draw n of a dimension depends on (seed, n, the dimension's name) and on nothing else.

    So more runs keep the first ones, and a further dimension leaves the others' values alone.
    """

    def suggest(
        self,
        space: SearchSpace,
        observations: Sequence[Observation],  # noqa: ARG002 - learns nothing
        drawn: int,
        count: int,
    ) -> list[Suggestion]:
        """Return draws `drawn` to `drawn + count`; see `Sampler.suggest`."""
        numbers = range(drawn, drawn + count)
        return [{d.name: d.at(self._share(number, d.name)) for d in space.dimensions} for number in numbers]

    def _share(self, number: int, name: str) -> float:
        # A text seed is hashed by SHA-512, on any machine.
        return random.Random(f"{self.seed} {number} {name}").random()
