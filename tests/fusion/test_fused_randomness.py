"""Each fused run draws the random numbers that it would draw alone."""

from __future__ import annotations

import pytest
import torch
from fused_and_alone import (
    CHANNELS,
    Forward,
    assert_evaluates_as_alone,
    assert_trains_as_alone,
    build,
    fuse,
    random_images,
)
from torch import nn
from torch.nn import functional as F  # noqa: N812 - its usual name
from torchvision.ops import DropBlock2d, StochasticDepth

SEEDS = [1234, 5, 987654321, 77]


def conv() -> nn.Module:
    return nn.Conv2d(CHANNELS, 4, 3, padding=1)


def flat(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return m.fc(m.drop(F.relu(m.conv(x)).flatten(1)))


RANDOM = {
    "dropout": lambda: nn.Sequential(conv(), nn.Dropout(0.4), nn.Conv2d(4, 3, 3)),
    "dropout in place": lambda: nn.Sequential(conv(), nn.Dropout(0.4, inplace=True), nn.Conv2d(4, 3, 3)),
    "dropout in place unused": lambda: Forward(
        lambda m, x: (lambda y: (m.drop(y), y)[1])(m.conv(x)), conv=conv(), drop=nn.Dropout(0.5, inplace=True)
    ),
    "dropout function in place unused": lambda: Forward(
        lambda m, x: (lambda y: (F.dropout(y, 0.5, m.training, inplace=True), y)[1])(m.conv(x)), conv=conv()
    ),
    "dropout of images": lambda: nn.Sequential(nn.Dropout(0.4), conv()),
    "dropout of features": lambda: Forward(flat, conv=conv(), drop=nn.Dropout(0.5), fc=nn.Linear(256, 3)),
    "two dropouts": lambda: nn.Sequential(conv(), nn.Dropout(0.3), nn.ReLU(), nn.Dropout(0.6), nn.Conv2d(4, 3, 3)),
    "one dropout twice": lambda: Forward(
        lambda m, x: m.drop(m.conv(m.drop(m.conv(x)))), conv=conv(), drop=nn.Dropout(0.3)
    ),
    "dropout of permuted values": lambda: Forward(
        lambda m, x: m.drop(m.conv(x).permute(0, 3, 1, 2)), conv=conv(), drop=nn.Dropout(0.5)
    ),
    "dropout after reshape": lambda: Forward(
        lambda m, x: m.drop(m.conv(x).reshape(-1, 2, 2, 64).transpose(1, 2)), conv=conv(), drop=nn.Dropout(0.5)
    ),
    "dropout1d": lambda: Forward(lambda m, x: m.drop(m.conv(x).flatten(2)), conv=conv(), drop=nn.Dropout1d(0.5)),
    "dropout2d": lambda: nn.Sequential(conv(), nn.Dropout2d(0.4)),
    "alpha dropout": lambda: nn.Sequential(conv(), nn.AlphaDropout(0.3)),
    "feature alpha dropout": lambda: nn.Sequential(conv(), nn.FeatureAlphaDropout(0.3)),
    "dropout function": lambda: Forward(lambda m, x: F.dropout(m.conv(x), 0.5, training=m.training), conv=conv()),
    "dropout function by keywords": lambda: Forward(
        lambda m, x: F.dropout(input=m.conv(x), p=0.5, training=m.training), conv=conv()
    ),
    "dropout2d function": lambda: Forward(lambda m, x: F.dropout2d(m.conv(x), 0.5, m.training), conv=conv()),
    "torch.dropout": lambda: Forward(lambda m, x: torch.dropout(m.conv(x), 0.5, m.training), conv=conv()),
    "stochastic depth of rows": lambda: Forward(
        lambda m, x: m.drop(m.conv(x)) + x, conv=conv(), drop=StochasticDepth(0.5, "row")
    ),
    "stochastic depth of batches": lambda: Forward(
        lambda m, x: m.drop(m.conv(x)) + x, conv=conv(), drop=StochasticDepth(0.5, "batch")
    ),
    "drop block": lambda: nn.Sequential(conv(), DropBlock2d(0.2, 3)),
    "rrelu": lambda: nn.Sequential(conv(), nn.RReLU()),
    "attention with dropout": lambda: Forward(
        lambda m, x: m.attend(*[m.conv(x).flatten(2).transpose(1, 2)] * 3)[0],
        conv=conv(), attend=nn.MultiheadAttention(4, 2, dropout=0.3, batch_first=True),
    ),
    "transformer layer": lambda: Forward(
        lambda m, x: m.layer(m.conv(x).flatten(2).transpose(1, 2)),
        conv=conv(), layer=nn.TransformerEncoderLayer(4, 2, 8, dropout=0.2, batch_first=True),
    ),
}  # fmt: skip
# They draw in evaluation too, so that only training can be compared.
NOISE = {
    "rand_like": lambda: Forward(lambda m, x: (lambda y: y + torch.rand_like(y))(m.conv(x)), conv=conv()),
    "rand_like by keyword": lambda: Forward(
        lambda m, x: (lambda y: y + torch.rand_like(input=y))(m.conv(x)), conv=conv()
    ),
    "randn of a shape": lambda: Forward(
        lambda m, x: m.conv(x) * torch.randn(x.shape, dtype=x.dtype, device=x.device), conv=conv()
    ),
    "rand of a size": lambda: Forward(
        lambda m, x: m.conv(x) + torch.rand((x.size(0), 1, 1, 1), dtype=x.dtype), conv=conv()
    ),
    "bernoulli_ of new_empty": lambda: Forward(
        lambda m, x: m.conv(x) * x.new_empty((x.shape[0], 4, 1, 1)).bernoulli_(0.5), conv=conv()
    ),
    "normal_ of empty_like": lambda: Forward(lambda m, x: m.conv(x) + torch.empty_like(x).normal_(), conv=conv()),
    "bernoulli of probabilities": lambda: Forward(
        lambda m, x: (lambda y: y * torch.bernoulli(y.sigmoid()))(m.conv(x)), conv=conv()
    ),
    "permuted images": lambda: Forward(lambda m, x: m.conv(x)[torch.randperm(x.shape[0])], conv=conv()),
    "gumbel_softmax": lambda: Forward(lambda m, x: F.gumbel_softmax(m.conv(x), dim=1), conv=conv()),
}


@pytest.mark.parametrize(("runs", "copies"), [(2, 1), (3, 3), (4, 2)])
@pytest.mark.parametrize("name", [*RANDOM, *NOISE])
def test_fused_run_draws_what_it_draws_alone(name, runs, copies):
    models = build({**RANDOM, **NOISE}[name], runs)
    assert_trains_as_alone(models, fuse(models), random_images(copies), copies, SEEDS[:runs])


@pytest.mark.parametrize("name", RANDOM)
def test_nothing_is_drawn_in_evaluation(name):
    models = build(RANDOM[name], 3)
    fused = fuse(models)
    assert_evaluates_as_alone(models, fused, random_images(1), copies=1)
    fused.generators.seed(SEEDS[:3])
    fused(random_images(1), 1, training=True)
    assert_evaluates_as_alone(models, fused, random_images(1), copies=1)


@pytest.mark.parametrize("name", [*RANDOM, *NOISE])
def test_runs_of_equal_weights_draw_different_numbers(name):
    models = build({**RANDOM, **NOISE}[name], 1) * 2
    fused = fuse(models)
    differ = []
    for step in range(8):  # rows of a small batch may all be kept by two runs at once
        fused.generators.seed([2 * step, 2 * step + 1])
        outputs = fused(random_images(1), 1, training=True)
        differ.append(not torch.equal(outputs[0], outputs[1]))
    assert any(differ)


@pytest.mark.parametrize("name", ["dropout", "dropout2d", "stochastic depth of rows", "rand_like"])
def test_equal_seeds_give_runs_of_equal_weights_equal_numbers(name):
    models = build({**RANDOM, **NOISE}[name], 1) * 2
    fused = fuse(models)
    fused.generators.seed([3, 3])
    outputs = fused(random_images(1), 1, training=True)
    assert torch.equal(outputs[0], outputs[1])


def test_seeding_begins_every_runs_stream_anew():
    fused = fuse(build(RANDOM["two dropouts"], 2))
    steps = []
    for seeds in ([1, 2], [3, 4], [1, 2]):
        fused.generators.seed(seeds)
        steps.append(fused(random_images(1), 1, training=True))
    assert torch.equal(steps[0], steps[2])
    assert not torch.equal(steps[0], steps[1])


def test_fusing_leaves_the_generator_as_it_was():
    models = build(RANDOM["dropout"], 2)
    torch.manual_seed(8)
    expected = torch.rand(3)
    torch.manual_seed(8)
    fuse(models)
    assert torch.equal(torch.rand(3), expected)
