"""Scrambled Sobol sequence (Owen 1998)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from cnnsweep.samplers.base import Observation, Sampler, Suggestion
from cnnsweep.samplers.space import SearchSpace


class Sobol(Sampler, name="sobol"):
    """Points that fill the space more evenly than chance does.

    Of the first 2^k points, each half of every dimension gets half.
    """

    def suggest(
        self,
        space: SearchSpace,
        observations: Sequence[Observation],  # noqa: ARG002 - learns nothing
        drawn: int,
        count: int,
    ) -> list[Suggestion]:
        """Return points `drawn` to `drawn + count`; see `Sampler.suggest`."""
        if not space.dimensions:
            return [{} for _ in range(count)]
        from scipy.stats import qmc

        sequence = qmc.Sobol(len(space.dimensions), scramble=True, rng=self.seed)
        if drawn:  # SciPy cannot go forward by nothing
            sequence.fast_forward(drawn)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that counts other than powers of 2 are less even
            points = sequence.random(count)
        return [
            {d.name: d.at(float(share)) for d, share in zip(space.dimensions, point, strict=True)} for point in points
        ]
