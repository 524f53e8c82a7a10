"""CMA-ES: a normal distribution over the space that moves, stretches and narrows with each generation of settings.

It stands on the package cmaes, which Optuna's sampler stands on too. That sampler keeps the state in trials that it
was asked for itself, and so cannot be built anew from results alone.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnsweep.config.search_entry import Search
from cnnsweep.samplers.base import Dimension, Picks, Told, text_seed, worst_value
from cnnsweep.samplers.random import RandomSuggester
from cnnsweep.samplers.transforms import share_below

_DEVIATION = 0.2  # of the first generation, as a share of each dimension's range: its bounds are 2.5 deviations off


@dataclass(frozen=True, slots=True)
class EvolutionSuggester:
    """CMA-ES (Hansen 2016) over the shares of the intervals; choices, which have no order, are drawn at random.

    Settings that are not trained yet are left out: the members of a generation are independent draws anyway.
    """

    search: Search
    dimensions: tuple[Dimension, ...]
    mode: str

    def suggest(self, told: Sequence[Told], drawn: int, count: int) -> list[Picks]:
        """Return the next picks; see `Suggester.suggest`."""
        drawn_at_random = RandomSuggester(self.search.seed, self.dimensions).suggest(told, drawn, count)
        numbers = [dimension for dimension in self.dimensions if dimension.interval is not None]
        if not numbers:
            return drawn_at_random
        optimizer = self._optimizer(numbers, told, text_seed(f"{self.search.seed} {drawn}"))
        points = [optimizer.ask() for _ in range(count)]
        return [
            {**picks, **{d.name: d.at(float(share)) for d, share in zip(numbers, point, strict=True)}}
            for picks, point in zip(drawn_at_random, points, strict=True)
        ]

    def _optimizer(self, numbers: Sequence[Dimension], told: Sequence[Told], seed: int) -> Any:
        """Return the distribution after all generations that are complete; the seed decides what is drawn from it."""
        bounds = np.tile([0.0, 1.0], (len(numbers), 1))
        # Hansen 2016, equation 48. A round may be larger: its first settings then move the distribution before the last
        # ones count, and that has found better settings than generations of a whole round, of which there are fewer.
        size = 4 + math.floor(3 * math.log(len(numbers)))
        # Imported by name, since it has no annotations that a type checker could read.
        optimizer = importlib.import_module("cmaes").CMA(
            mean=np.full(len(numbers), 0.5), sigma=_DEVIATION, bounds=bounds, seed=seed, population_size=size
        )
        costs = self._costs(numbers, told)
        for start in range(0, len(costs) - size + 1, size):
            optimizer.tell(costs[start : start + size])
        return optimizer

    def _costs(self, numbers: Sequence[Dimension], told: Sequence[Told]) -> list[tuple[Any, float]]:
        """Return point and cost of each setting that is trained; one that diverged costs as much as the worst."""
        worst = worst_value(told, self.mode)
        sign = -1.0 if self.mode == "max" else 1.0
        values = [(one.picks, worst if one.value is None else one.value) for one in told if not one.is_pending]
        return [
            (np.array([share_below(d, picks[d.name]) for d in numbers]), sign * value)
            for picks, value in values
            if value is not None
        ]
