"""Tree-structured Parzen estimator (Bergstra et al. 2011), by Optuna."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnsweep.samplers.base import Observation
from cnnsweep.samplers.optuna_base import OptunaSampler, Outcome

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Tpe(OptunaSampler, name="tpe"):
    """Trials that are more likely among the good ones than among the others (TPE)."""

    def build(self, seed: int) -> BaseSampler:
        """Return Optuna's multivariate TPE, which keeps away from trials that are under way."""
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed, multivariate=True, constant_liar=True)

    def outcome(self, observation: Observation, worst: float | None) -> Outcome:  # noqa: ARG002
        """Return a trial that diverged, was pruned or still trains as pruned.

        TPE ranks pruned trials after complete ones, by their number of epochs and then by their last metric; one
        without metrics is last of all.
        """
        if observation.value is None:
            return None, {}, True
        return observation.value, observation.curve, bool(observation.curve)
