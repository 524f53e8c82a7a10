"""A layer that changes a linear layer's output in place does the same for K runs, however often that output is used."""

from __future__ import annotations

import pytest
import torch
from fused_and_alone import (
    CHANNELS,
    SIDE,
    Forward,
    assert_evaluates_as_alone,
    assert_trains_as_alone,
    build,
    fuse,
    random_images,
)
from torch import Tensor, nn

FEATURES = CHANNELS * SIDE * SIDE


def used_once(m: nn.Module, x: Tensor) -> Tensor:
    return m.last(m.relu(m.first(x.flatten(1))))


def used_again(m: nn.Module, x: Tensor) -> Tensor:
    y = m.first(x.flatten(1))
    return m.last(m.relu(y) * y + y)


@pytest.mark.parametrize("forward", [used_once, used_again])
@pytest.mark.parametrize("copies", [1, 4])
def test_change_in_place_of_a_linear_layers_output(forward, copies):
    def make() -> nn.Module:
        return Forward(
            forward,
            first=nn.Linear(FEATURES, 6),
            relu=nn.ReLU(inplace=True),
            last=nn.Linear(6, 6),
        )

    models, images = build(make, 4), random_images(copies)
    fused = fuse(models)
    assert_trains_as_alone(models, fused, images, copies)
    assert_evaluates_as_alone(models, fused, random_images(1), 1)


def test_the_persons_own_module_stays_in_place():
    models = build(lambda: nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, 6), nn.ReLU(inplace=True)), 2)
    assert_trains_as_alone(models, fuse(models), random_images(1), 1)
    assert all(model[2].inplace for model in models)
    assert torch.equal(models[0][2](torch.tensor([-1.0])), torch.zeros(1))
