"""TPE, the Gaussian process and CMA-ES learn: they find better settings than chance, and shun what diverged."""

import math
from statistics import median

import pytest

from cnnsweep.config.distributions import Interval
from cnnsweep.config.search_entry import Search
from cnnsweep.samplers.base import Dimension, Picks, Told, worst_value
from cnnsweep.samplers.methods import make_suggester

SPACE = [
    Dimension("lr", interval=Interval("log_uniform", 1e-4, 1e-1)),
    Dimension("momentum", interval=Interval("uniform", 0.0, 1.0)),
    Dimension("scale", interval=Interval("normal", -4, 4)),
]


def figure(picks: Picks) -> float:
    """Return a figure whose best, 0, is at lr 0.005, momentum 0.3 and scale 1."""
    return -(
        (math.log10(picks["lr"]) + 2.3) ** 2 + 4 * (picks["momentum"] - 0.3) ** 2 + 0.3 * (picks["scale"] - 1) ** 2
    )


def best(method: str, seed: int, runs: int, round: int) -> float:
    suggester = make_suggester(Search(method, runs, seed), SPACE, "max")
    told: list[Told] = []
    while len(told) < runs:
        told += [Told(picks, figure(picks)) for picks in suggester.suggest(told, len(told), round)]
    return max(one.value for one in told if one.value is not None)


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
    drawn = make_suggester(Search("random", 1, 0), SPACE, "max").suggest([], 0, 56)
    told = [Told(one, None if one["momentum"] > 0.5 else 0.7 + 0.2 * one["momentum"]) for one in drawn]
    picks = [
        one
        for seed in range(5)
        for one in make_suggester(Search(method, 1, seed), SPACE, "max").suggest(told, len(told), 2)
    ]
    assert sum(one["momentum"] > 0.5 for one in picks) <= 2


@pytest.mark.parametrize("method", ["gp", "cmaes"])
def test_what_diverged_counts_as_the_worst(method: str):
    drawn = make_suggester(Search("random", 1, 0), SPACE, "max").suggest([], 0, 15)
    told = [Told(one, None if number % 3 == 0 else figure(one)) for number, one in enumerate(drawn)]
    worst = worst_value(told, "max")
    filled = [Told(one.picks, worst if one.value is None else one.value) for one in told]
    suggester = make_suggester(Search(method, 1, 0), SPACE, "max")
    assert suggester.suggest(told, 15, 1) == suggester.suggest(filled, 15, 1)


def test_cmaes_leaves_out_what_is_pending():
    drawn = make_suggester(Search("random", 1, 0), SPACE, "max").suggest([], 0, 21)
    told = [Told(one, figure(one)) for one in drawn[:14]]
    pending = [Told(one, None, is_pending=True) for one in drawn[14:]]
    suggester = make_suggester(Search("cmaes", 1, 0), SPACE, "max")
    assert suggester.suggest([*pending, *told], 21, 2) == suggester.suggest(told, 21, 2)


def test_tpe_learns_from_curves_that_were_cut_short():
    """What came far before it was stopped is better than what was stopped at once."""
    drawn = make_suggester(Search("random", 1, 0), SPACE, "max").suggest([], 0, 40)
    told = [Told(one, 0.5, {1: 0.4, 2: 0.5} if abs(one["momentum"] - 0.3) < 0.15 else {1: 0.5}) for one in drawn]
    picks = [
        one for seed in range(6) for one in make_suggester(Search("tpe", 1, seed), SPACE, "max").suggest(told, 40, 4)
    ]
    assert sum(abs(one["momentum"] - 0.3) < 0.2 for one in picks) > 14


def test_the_worst_reached_stands_for_what_diverged():
    told = [Told({}, 0.5), Told({}, None), Told({}, 0.9)]
    assert worst_value(told, "max") == 0.5
    assert worst_value(told, "min") == 0.9
    assert worst_value(told[1:2], "min") is None
