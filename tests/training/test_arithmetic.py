"""What a step's arithmetic is, against torch's own count of it."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cnnsweep.models.cnn import LeNet
from cnnsweep.models.cnn_module import CNN
from cnnsweep.training.flops import flop_of_step, matrix_product_rate


def frozen_first() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.LazyLinear(5))
    model(torch.rand(2, 3, 9, 9))
    model[0].requires_grad_(False)
    return model


MODELS = {
    "lenet": LeNet().build(3, 10, (28, 28)),
    "batch norm": CNN(3, 10, (9, 9), channels=(4, 8), kernel_size=3, padding="same", batch_norm=True),
    "transposed": nn.Sequential(nn.ConvTranspose2d(3, 4, 3, stride=2), nn.Flatten(), nn.LazyLinear(5)),
    "a frozen layer": frozen_first(),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_count_is_that_of_torch(name):
    model, images = MODELS[name], torch.rand(4, 3, 28, 28) if name == "lenet" else torch.rand(4, 3, 9, 9)
    model(images)
    with FlopCounterMode(display=False) as counter:
        model(images).sum().backward()
    assert flop_of_step(model, images) == counter.get_total_flops() > 0
    assert not any(module._forward_hooks for module in model.modules())


def test_a_group_sees_its_own_channels_only():
    """Of a grouped convolution's backward pass, torch counts twice what it is."""
    forward = 2 * 8 * 7 * 7 * (2 * 3 * 3)  # 8 maps of 7×7, each from 2 channels
    assert flop_of_step(nn.Conv2d(8, 8, 3, groups=4), torch.rand(1, 8, 9, 9)) == 2 * forward
    assert flop_of_step(nn.Conv2d(8, 8, 3, groups=4), torch.rand(1, 8, 9, 9, requires_grad=True)) == 3 * forward


def test_what_is_called_by_keyword_is_left_out():
    class ByKeyword(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.second(input=self.first(x))

    assert flop_of_step(ByKeyword(), torch.rand(5, 4)) == 2 * (2 * 5 * 4 * 3)  # forward and the weights' gradient


def test_hooks_go_where_the_model_raises():
    model = MODELS["lenet"]
    with pytest.raises(RuntimeError):
        flop_of_step(model, torch.rand(2, 1, 28, 28))
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_machine_multiplies(dtype):
    assert matrix_product_rate(dtype) > 1e7
