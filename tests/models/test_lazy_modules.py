"""Lazy modules get their shapes as a model is built: by the run's seed, and without a trace of the images they saw."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch import nn

from cnnsweep.errors import ModelError
from cnnsweep.models.build import build_model, check_model
from cnnsweep.types import ModelChoice

SHAPE, CLASSES = (3, 8, 8), 5
NETS = """
import torch
from torch import nn
from torch.nn import functional as F

class Lazy(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.LazyConv2d(4, 3)
        self.norm = nn.LazyBatchNorm2d()
        self.plain = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.LazyLinear(num_classes)
    def forward(self, x):
        return self.fc(self.drop(self.plain(torch.relu(self.norm(self.conv(x))))).view(x.size(0), -1))

class InTraining(Lazy):
    '''Has a lazy branch, with statistics, in training only.'''
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.extra = nn.Sequential(nn.LazyConv2d(4, 1), nn.LazyBatchNorm2d(), nn.LazyInstanceNorm2d(
            affine=True, track_running_stats=True))
    def forward(self, x):
        x = self.conv(x)
        if self.training:
            x = self.extra(x)
        return self.fc(self.plain(self.norm(x)).flatten(1))

class Unused(Lazy):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.more = nn.LazyLinear(2)

class TooSmall(Lazy):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.conv = nn.LazyConv2d(4, 9)
"""


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("code") / "lazy_nets.py"
    file.write_text(NETS)
    return file


def state_of(nets: Path, name: str, seed: int) -> dict[str, torch.Tensor]:
    return build_model(ModelChoice(f"{nets}:{name}"), SHAPE, CLASSES, seed=seed).state_dict()


def test_lazy_modules_have_shapes_and_are_plain_ones(nets):
    model = build_model(ModelChoice(f"{nets}:Lazy"), SHAPE, CLASSES, seed=0)
    assert {name: tuple(p.shape) for name, p in model.named_parameters() if "weight" in name} == {
        "conv.weight": (4, 3, 3, 3), "norm.weight": (4,), "plain.weight": (4,), "fc.weight": (CLASSES, 4 * 36),
    }  # fmt: skip
    assert [type(m) for m in model.children()] == [nn.Conv2d, nn.BatchNorm2d, nn.BatchNorm2d, nn.Dropout, nn.Linear]
    assert all(p.requires_grad for p in model.parameters())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("name", ["Lazy", "InTraining"])
def test_initial_weights_depend_on_the_seed_alone(nets, name):
    first = state_of(nets, name, 1)
    random.random(), torch.rand(3)
    again, other = state_of(nets, name, 1), state_of(nets, name, 2)
    assert first.keys() == again.keys()
    assert all(torch.equal(again[key], value) for key, value in first.items())
    assert not torch.equal(other["conv.weight"], first["conv.weight"])


@pytest.mark.parametrize("name", ["Lazy", "InTraining"])
def test_statistics_are_those_of_a_model_that_has_seen_no_image(nets, name):
    state = state_of(nets, name, 1)
    statistics = {key: value for key, value in state.items() if "running" in key or "tracked" in key}
    assert len(statistics) == (12 if name == "InTraining" else 6)
    for key, value in statistics.items():
        assert torch.equal(value, torch.ones_like(value) if "var" in key else torch.zeros_like(value)), key


def test_building_a_lazy_model_leaves_the_generators_as_they_were(nets):
    torch.manual_seed(4)
    expected = torch.rand(2)
    torch.manual_seed(4)
    state_of(nets, "InTraining", 1)
    assert torch.equal(torch.rand(2), expected)


def test_parameters_are_counted(nets):
    by_hand = (4 * 27 + 4) + 8 + 8 + (CLASSES * 144 + CLASSES)
    assert check_model(ModelChoice(f"{nets}:Lazy"), SHAPE, CLASSES) == by_hand


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Unused", "its lazy 'more.weight' got no shape, since no forward pass uses it; remove it"),
        ("TooSmall", "a batch of 3×8×8 images raised RuntimeError: Calculated padded input size per channel"),
    ],
)
def test_what_gets_no_shape_is_named(nets, name, message):
    with pytest.raises(ModelError) as caught:
        build_model(ModelChoice(f"{nets}:{name}"), SHAPE, CLASSES, seed=0)
    assert message in str(caught.value)
