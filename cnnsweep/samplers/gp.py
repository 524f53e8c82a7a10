"""Gaussian process with expected improvement (Jones et al. 1998), by Optuna."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnsweep.samplers.base import Observation
from cnnsweep.samplers.optuna_base import OptunaSampler, Outcome

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class GaussianProcess(OptunaSampler, name="gp"):
    """Trials of the largest expected improvement under a Gaussian process."""

    def build(self, seed: int) -> BaseSampler:
        """Return Optuna's Gaussian process."""
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed, warn_independent_sampling=False)

    def outcome(self, observation: Observation, worst: float | None) -> Outcome | None:
        """Return every trial as complete: those that diverged with the worst metric, none while there is no metric."""
        value = worst if observation.value is None else observation.value
        return None if value is None else (value, {}, False)
