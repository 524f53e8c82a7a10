"""TPE, the Gaussian process and CMA-ES learn: they find better trials than chance, and shun what diverged."""

import math
from statistics import median

import pytest
from suggesting import bound

from cnnsweep.samplers.base import Observation, Suggestion, worst_value
from cnnsweep.samplers.space import Dimension, Interval

SPACE = [
    Dimension("lr", interval=Interval("log_uniform", 1e-4, 1e-1)),
    Dimension("momentum", interval=Interval("uniform", 0.0, 1.0)),
    Dimension("scale", interval=Interval("normal", -4, 4)),
]


def figure(picks: Suggestion) -> float:
    """Return a figure whose best, 0, is at lr 0.005, momentum 0.3 and scale 1."""
    return -(
        (math.log10(picks["lr"]) + 2.3) ** 2 + 4 * (picks["momentum"] - 0.3) ** 2 + 0.3 * (picks["scale"] - 1) ** 2
    )


def best(method: str, seed: int, runs: int, round: int) -> float:
    sampler = bound(method, seed, SPACE, "max")
    seen: list[Observation] = []
    while len(seen) < runs:
        seen += [Observation(picks, figure(picks)) for picks in sampler.suggest(seen, len(seen), round)]
    return max(one.value for one in seen if one.value is not None)


@pytest.mark.parametrize(
    ("method", "runs", "seeds", "round"),
    [("tpe", 40, 7, 1), ("tpe", 40, 7, 4), ("cmaes", 48, 7, 1), ("cmaes", 48, 7, 4), ("gp", 20, 3, 4)],
)
def test_learning_beats_chance(method: str, runs: int, seeds: int, round: int):
    learnt = median(best(method, seed, runs, round) for seed in range(seeds))
    by_chance = median(best("random", seed, runs, round) for seed in range(20))
    assert learnt > 0.5 * by_chance  # the figures are negative: less than half as far from the best


@pytest.mark.parametrize("method", ["tpe", "gp", "cmaes"])
def test_where_settings_diverge_few_are_tried(method: str):
    """All with a momentum above 1/2 diverge, and the others are the better the nearer they come to it."""
    drawn = bound("random", 0, SPACE, "max").suggest([], 0, 56)
    seen = [Observation(one, None if one["momentum"] > 0.5 else 0.7 + 0.2 * one["momentum"]) for one in drawn]
    picks = [one for seed in range(5) for one in bound(method, seed, SPACE, "max").suggest(seen, len(seen), 2)]
    assert sum(one["momentum"] > 0.5 for one in picks) <= 2


@pytest.mark.parametrize("method", ["gp", "cmaes"])
def test_what_diverged_counts_as_the_worst(method: str):
    drawn = bound("random", 0, SPACE, "max").suggest([], 0, 15)
    seen = [Observation(one, None if number % 3 == 0 else figure(one)) for number, one in enumerate(drawn)]
    worst = worst_value(seen, "max")
    filled = [Observation(one.suggestion, worst if one.value is None else one.value) for one in seen]
    sampler = bound(method, 0, SPACE, "max")
    assert sampler.suggest(seen, 15, 1) == sampler.suggest(filled, 15, 1)


def test_cmaes_leaves_out_what_is_pending():
    drawn = bound("random", 0, SPACE, "max").suggest([], 0, 21)
    seen = [Observation(one, figure(one)) for one in drawn[:14]]
    pending = [Observation(one, None, is_pending=True) for one in drawn[14:]]
    sampler = bound("cmaes", 0, SPACE, "max")
    assert sampler.suggest([*pending, *seen], 21, 2) == sampler.suggest(seen, 21, 2)


def test_tpe_learns_from_curves_that_were_cut_short():
    """What came far before it was stopped is better than what was stopped at once."""
    drawn = bound("random", 0, SPACE, "max").suggest([], 0, 40)
    seen = [Observation(one, 0.5, {1: 0.4, 2: 0.5} if abs(one["momentum"] - 0.3) < 0.15 else {1: 0.5}) for one in drawn]
    picks = [one for seed in range(6) for one in bound("tpe", seed, SPACE, "max").suggest(seen, 40, 4)]
    assert sum(abs(one["momentum"] - 0.3) < 0.2 for one in picks) > 14


def test_the_worst_reached_stands_for_what_diverged():
    seen = [Observation({}, 0.5), Observation({}, None), Observation({}, 0.9)]
    assert worst_value(seen, "max") == 0.5
    assert worst_value(seen, "min") == 0.9
    assert worst_value(seen[1:2], "min") is None
