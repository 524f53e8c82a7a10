"""Settings drawn from the space whatever the results: at random, or evenly spread."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from cnnsweep.samplers.base import Dimension, Picks, Told


@dataclass(frozen=True, slots=True)
class RandomSuggester:
    """Independent draws. Draw n of a dimension depends on (seed, n, the dimension's name) and on nothing else.

    So more runs keep the first ones, and a further dimension leaves the others' values alone.
    """

    seed: int
    dimensions: tuple[Dimension, ...]

    def suggest(self, told: Sequence[Told], drawn: int, count: int) -> list[Picks]:  # noqa: ARG002 - learns nothing
        """Return draws `drawn` to `drawn + count`; see `Suggester.suggest`."""
        return [{d.name: d.at(self._share(number, d.name)) for d in self.dimensions} for number in _next(drawn, count)]

    def _share(self, number: int, name: str) -> float:
        return random.Random(
            f"{self.seed} {number} {name}"
        ).random()  # a text seed is hashed by SHA-512, on any machine


@dataclass(frozen=True, slots=True)
class SobolSuggester:
    """Points of a scrambled Sobol sequence (Owen 1998), which fill the space more evenly than chance does.

    Of the first 2^k points, each half of every dimension gets half. `dimensions` stand in the order of the sequence's.
    """

    seed: int
    dimensions: tuple[Dimension, ...]

    def suggest(self, told: Sequence[Told], drawn: int, count: int) -> list[Picks]:  # noqa: ARG002 - learns nothing
        """Return points `drawn` to `drawn + count`; see `Suggester.suggest`."""
        if not self.dimensions:
            return [{} for _ in _next(drawn, count)]
        from scipy.stats import qmc

        sequence = qmc.Sobol(len(self.dimensions), scramble=True, rng=self.seed)
        if drawn:  # SciPy cannot go forward by nothing
            sequence.fast_forward(drawn)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that counts other than powers of 2 are less even
            points = sequence.random(count)
        return [
            {d.name: d.at(float(share)) for d, share in zip(self.dimensions, point, strict=True)} for point in points
        ]


def _next(drawn: int, count: int) -> range:
    return range(drawn, drawn + count)
