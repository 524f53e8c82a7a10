"""Samplers that use one of Optuna's.

A study is built anew for every suggestion, from the observations alone, so nothing has to be kept or written down.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from cnnsweep.samplers.base import LearningSampler, Observation, Suggestion, text_seed, worst_value
from cnnsweep.samplers.space import SearchSpace

if TYPE_CHECKING:
    import optuna
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

Outcome = tuple[float | None, Mapping[int, float], bool]  # the metric, the curve, and whether the trial was pruned


class OptunaSampler(LearningSampler):
    """Base of samplers that use one of Optuna's.

    They see trials that are not trained yet, those of the same call too, and keep away from them. The first ten trials
    are random.
    """

    uses_running: ClassVar[bool] = True
    package: ClassVar[str] = "optuna"

    def build(self, seed: int) -> BaseSampler:
        """Return Optuna's sampler."""
        raise NotImplementedError

    def outcome(self, observation: Observation, worst: float | None) -> Outcome | None:
        """Return an observation that is not pending as Optuna's sampler takes it; None if it is of no use to it.

        Args:
            worst: the worst metric of any trial; None if there is none.
        """
        raise NotImplementedError

    def suggest(
        self, space: SearchSpace, observations: Sequence[Observation], drawn: int, count: int
    ) -> list[Suggestion]:
        """Return the next suggestions; see `Sampler.suggest`."""
        from cnnsweep.samplers.optuna_distributions import decode, distribution_of

        distributions = {dimension.name: distribution_of(dimension) for dimension in space.dimensions}
        with _silence():
            study = self._study(space, observations, distributions, text_seed(f"{self.seed} {drawn}"))
            codes = [study.ask(distributions).params for _ in range(count)]
        return [{d.name: decode(d, one[d.name]) for d in space.dimensions} for one in codes]

    def _study(
        self, space: SearchSpace, observations: Sequence[Observation], distributions: dict[str, Any], seed: int
    ) -> optuna.Study:
        import optuna

        study = optuna.create_study(
            direction="maximize" if space.mode == "max" else "minimize", sampler=self.build(seed)
        )
        worst = worst_value(observations, space.mode)
        trials = (self._trial(space, one, distributions, worst) for one in observations)
        study.add_trials(trial for trial in trials if trial is not None)
        return study

    def _trial(
        self, space: SearchSpace, observation: Observation, distributions: dict[str, Any], worst: float | None
    ) -> FrozenTrial | None:
        from optuna.trial import TrialState, create_trial

        from cnnsweep.samplers.optuna_distributions import encode

        outcome = (None, {}, False) if observation.is_pending else self.outcome(observation, worst)
        if outcome is None:
            return None
        value, curve, is_pruned = outcome
        ended = TrialState.PRUNED if is_pruned else TrialState.COMPLETE
        return create_trial(
            state=TrialState.RUNNING if observation.is_pending else ended,
            value=value,
            params={d.name: encode(d, observation.suggestion[d.name]) for d in space.dimensions},
            distributions=distributions,
            intermediate_values=dict(curve),
        )


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Optuna's log and its notes on experimental parts off the terminal, and restore its trials."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
