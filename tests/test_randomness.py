"""Draws depend on what they are for, and on nothing else."""

import numpy as np
import torch

from cnnsweep.seeding import derive_seed, generator, uniform_per_item


def test_a_seed_depends_on_every_argument():
    seeds = [
        derive_seed(0, "order", 1),
        derive_seed(1, "order", 1),
        derive_seed(0, "weights", 1),
        derive_seed(0, "order", 2),
        derive_seed(0, "order", 1, 1),
        derive_seed(0, "order"),
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seeds_stay_what_they_were():
    """Published results are repeated with them: a change here changes every result, and must be meant."""
    assert derive_seed(0, "order", 1) == 4672741961019256271
    assert torch.randperm(6, generator=generator(0, "order", 1)).tolist() == [1, 2, 0, 3, 5, 4]


def test_an_items_draws_do_not_depend_on_its_batch():
    together = uniform_per_item(7, "augment", 3, torch.arange(100), 4)
    alone = torch.cat([uniform_per_item(7, "augment", 3, torch.tensor([item]), 4) for item in range(100)])
    assert torch.equal(together, alone)


def test_draws_are_uniform_and_independent():
    draws = uniform_per_item(0, "augment", 1, torch.arange(50_000), 4).double()
    assert draws.min() >= 0
    assert draws.max() < 1
    # 50,000 draws into 20 bins: chi-squared with 19 degrees of freedom is below 50 but once in 10,000.
    for column in draws.T:
        counts = torch.histc(column, 20, 0, 1)
        assert ((counts - 2500) ** 2 / 2500).sum() < 50
    # The correlation of independent draws has a deviation of 1/sqrt(50,000) = 0.0045.
    correlations = torch.corrcoef(draws.T) - torch.eye(4)
    assert correlations.abs().max() < 5 * 0.0045


def test_the_generator_is_splitmix64():
    """Against the algorithm written in Python's whole numbers, as published (Steele, Lea, Flood 2014)."""
    mask = (1 << 64) - 1

    def splitmix(state: int) -> int:
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
        return state ^ (state >> 31)

    base = derive_seed(5, "augment", 2)
    expected = [
        [(splitmix((base + (item * 3 + draw) * 0x9E3779B97F4A7C15) & mask) >> 40) / 2**24 for draw in range(3)]
        for item in (0, 1, 59_999)
    ]
    drawn = uniform_per_item(5, "augment", 2, torch.tensor([0, 1, 59_999]), 3)
    assert np.array_equal(drawn.numpy(), np.array(expected, dtype=np.float32))
