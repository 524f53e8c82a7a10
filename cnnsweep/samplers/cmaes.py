"""CMA-ES: a normal distribution over the space that moves, stretches and narrows with each generation of trials.

It uses the package cmaes, as Optuna's sampler does. That sampler keeps the state in trials that it suggested itself,
and so cannot be built anew from results alone.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Collection, Sequence
from typing import Any, ClassVar

from cnnsweep.samplers.base import LearningSampler, Observation, Suggestion, text_seed, worst_value
from cnnsweep.samplers.random import Random
from cnnsweep.samplers.space import Dimension, SearchSpace
from cnnsweep.samplers.transforms import share_below

_DEVIATION = 0.2  # of the first generation, as a share of each dimension's range: its bounds are 2.5 deviations off


class CmaEs(LearningSampler, name="cmaes"):
    """CMA-ES (Hansen 2016) over the shares of the intervals; options, which have no order, are drawn at random.

    Trials that are not trained yet are left out: the members of a generation are independent draws anyway.
    """

    package: ClassVar[str] = "cmaes"

    def refusal(self, distributions: Collection[str]) -> str | None:
        """Refuse a space with fewer than two distributions; see `Sampler.refusal`."""
        if len(distributions) >= 2:
            return None
        return "which needs two distributions or more under params; lists it can only draw from at random"

    def suggest(
        self, space: SearchSpace, observations: Sequence[Observation], drawn: int, count: int
    ) -> list[Suggestion]:
        """Return the next suggestions; see `Sampler.suggest`."""
        at_random = Random(runs=self.runs, seed=self.seed).suggest(space, observations, drawn, count)
        numbers = [dimension for dimension in space.dimensions if dimension.interval is not None]
        if not numbers:
            return at_random
        costs = _costs(numbers, observations, space.mode)
        optimizer = _optimizer(len(numbers), costs, text_seed(f"{self.seed} {drawn}"))
        points = [optimizer.ask() for _ in range(count)]
        return [
            {**suggestion, **{d.name: d.at(float(share)) for d, share in zip(numbers, point, strict=True)}}
            for suggestion, point in zip(at_random, points, strict=True)
        ]


def _optimizer(dimensions: int, costs: Sequence[tuple[Any, float]], seed: int) -> Any:
    """Return the distribution after all generations that are complete; draws from it depend on the seed."""
    import numpy as np

    bounds = np.tile([0.0, 1.0], (dimensions, 1))
    # Hansen 2016, equation 48. A round may be larger: its first trials then move the distribution before the last ones
    # count, and that has found better trials than generations of a whole round, of which there are fewer.
    size = 4 + math.floor(3 * math.log(dimensions))
    # Imported by name, since it has no annotations that a type checker could read.
    optimizer = importlib.import_module("cmaes").CMA(
        mean=np.full(dimensions, 0.5), sigma=_DEVIATION, bounds=bounds, seed=seed, population_size=size
    )
    for start in range(0, len(costs) - size + 1, size):
        optimizer.tell(costs[start : start + size])
    return optimizer


def _costs(numbers: Sequence[Dimension], observations: Sequence[Observation], mode: str) -> list[tuple[Any, float]]:
    """Return point and cost of each trial that is trained; one that diverged costs as much as the worst."""
    import numpy as np

    worst = worst_value(observations, mode)
    sign = -1.0 if mode == "max" else 1.0
    trained = [one for one in observations if not one.is_pending]
    values = [(one.suggestion, worst if one.value is None else one.value) for one in trained]
    return [
        (np.array([share_below(d, suggestion[d.name]) for d in numbers]), sign * value)
        for suggestion, value in values
        if value is not None
    ]
