"""Random and Sobol: what a draw depends on, and how evenly the space is filled."""

import pytest
from suggesting import bound

from cnnsweep.samplers.space import Dimension, Interval

LR = Dimension("lr", interval=Interval("log_uniform", 1e-4, 1e-1))
WIDTH = Dimension("width", interval=Interval("integer", 1, 8))
KIND = Dimension("kind", options=4)


def test_a_random_draw_depends_on_its_number_and_name_alone():
    alone = bound("random", 3, [LR], "max").suggest([], 0, 10)
    both = bound("random", 3, [KIND, LR, WIDTH], "max").suggest([], 4, 6)
    assert [one["lr"] for one in alone[4:]] == [one["lr"] for one in both]
    renamed = bound("random", 3, [Dimension("rate", interval=LR.interval)], "max").suggest([], 0, 10)
    assert [one["lr"] for one in alone] != [one["rate"] for one in renamed]


def test_random_draws_are_known_by_value():
    """A journal of an earlier version must go on alike: these figures may not change."""
    picks = bound("random", 0, [LR, WIDTH, KIND], "max").suggest([], 0, 3)
    assert picks == [
        {"kind": 3, "lr": 0.058152, "width": 1},
        {"kind": 3, "lr": 0.00050034, "width": 1},
        {"kind": 3, "lr": 0.00043929, "width": 3},
    ]


def test_random_draws_are_spread():
    picks = bound("random", 0, [LR, WIDTH, KIND], "max").suggest([], 0, 4000)
    for kind in range(4):
        assert sum(one["kind"] == kind for one in picks) == pytest.approx(1000, abs=100)
    for width in range(1, 9):
        assert sum(one["width"] == width for one in picks) == pytest.approx(500, abs=80)
    assert sum(one["lr"] < 1e-3 for one in picks) == pytest.approx(1333, abs=120)


@pytest.mark.parametrize("count", [2, 4, 16, 64])
@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_each_half_of_every_dimension_gets_half_of_sobols_points(count: int, seed: int):
    picks = bound("sobol", seed, [LR, WIDTH, KIND], "max").suggest([], 0, count)
    assert sum(one["lr"] < 10**-2.5 for one in picks) == count // 2
    assert sum(one["width"] <= 4 for one in picks) == count // 2
    assert sum(one["kind"] < 2 for one in picks) == count // 2


def test_sobols_points_go_on_where_they_ended():
    sampler = bound("sobol", 0, [LR, WIDTH, KIND], "max")
    assert sampler.suggest([], 0, 3) + sampler.suggest([], 3, 1) + sampler.suggest([], 4, 5) == sampler.suggest(
        [], 0, 9
    )
