"""Settings chosen by what those before have reached, with Optuna's

A study is built anew at every call from what is told, so nothing has to be kept between calls or written down.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from cnnsweep.config.search_entry import Search
from cnnsweep.samplers.base import Dimension, Picks, Told, text_seed, worst_value
from cnnsweep.samplers.optuna_distributions import decode, distribution_of, encode


@dataclass(frozen=True, slots=True)
class LearnedSuggester:
    """TPE (Bergstra et al. 2011), or a Gaussian process with expected improvement (Jones et al. 1998), by Optuna.

    Both see settings that are asked for and not trained yet, those of the same call too, and keep away from them.
    The first ten settings are random.
    """

    search: Search
    dimensions: tuple[Dimension, ...]
    mode: str

    def suggest(self, told: Sequence[Told], drawn: int, count: int) -> list[Picks]:
        """Return the next picks; see `Suggester.suggest`."""
        with _silence():
            study = self._study(told, text_seed(f"{self.search.seed} {drawn}"))
            asked = [study.ask(self._distributions()).params for _ in range(count)]
        return [{d.name: decode(d, codes[d.name]) for d in self.dimensions} for codes in asked]

    def _study(self, told: Sequence[Told], seed: int) -> optuna.Study:
        study = optuna.create_study(
            direction="maximize" if self.mode == "max" else "minimize", sampler=self._sampler(seed)
        )
        worst = worst_value(told, self.mode)
        study.add_trials(trial for one in told if (trial := self._trial(one, worst)) is not None)
        return study

    def _trial(self, told: Told, worst: float | None) -> FrozenTrial | None:
        """Return a setting as a trial of Optuna's; None if there is nothing to learn from it.

        TPE ranks pruned trials after complete ones, by how far they came and then by their last figure; one without
        figures is last of all. The Gaussian process takes complete trials only.
        """
        state, value, curve = TrialState.COMPLETE, told.value, dict[int, float]()
        if told.is_pending:
            state, value = TrialState.RUNNING, None
        elif self.search.method == "tpe" and value is None:
            state = TrialState.PRUNED
        elif self.search.method == "tpe" and told.curve:
            state, curve = TrialState.PRUNED, dict(told.curve)
        elif value is None and (value := worst) is None:
            return None
        return create_trial(
            state=state,
            value=value,
            params={d.name: encode(d, told.picks[d.name]) for d in self.dimensions},
            distributions=self._distributions(),
            intermediate_values=curve,
        )

    def _distributions(self) -> dict[str, BaseDistribution]:
        return {dimension.name: distribution_of(dimension) for dimension in self.dimensions}

    def _sampler(self, seed: int) -> BaseSampler:
        if self.search.method == "tpe":
            return TPESampler(seed=seed, multivariate=True, constant_liar=True)
        return GPSampler(seed=seed, warn_independent_sampling=False)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Optuna's log and its notes on experimental parts off the terminal, and leave all as it was."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
