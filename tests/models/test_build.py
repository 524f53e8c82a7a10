"""Every kind of model builds, fits the data, and says what is wrong when it does not."""

from pathlib import Path

import pytest
import torch
from torch import nn

from cnnsweep.errors import ModelError, UsageError
from cnnsweep.models.build import build_model, check_model
from cnnsweep.models.cnn_module import CNN
from cnnsweep.models.torchvision_module import ResizedInput
from cnnsweep.types import ModelChoice

FASHION = (1, 28, 28)
CIFAR = (3, 32, 32)


class TutorialNetwork(nn.Module):
    """The Fashion-MNIST tutorial's network, spelled as it is there: ReLU first, then pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 12, 5)
        self.fc1 = nn.Linear(12 * 4 * 4, 120)
        self.fc2 = nn.Linear(120, 60)
        self.out = nn.Linear(60, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(nn.functional.relu(self.conv1(x)), 2)
        x = nn.functional.max_pool2d(nn.functional.relu(self.conv2(x)), 2)
        x = nn.functional.relu(self.fc1(x.flatten(1)))
        return self.out(nn.functional.relu(self.fc2(x)))


def test_lenet_is_the_tutorials_network_in_outputs_and_gradients():
    ours, theirs = build_model(ModelChoice("lenet"), FASHION, 10, seed=0).double(), TutorialNetwork().double()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    images = torch.rand(4, *FASHION, dtype=torch.float64)
    labels = torch.tensor([1, 2, 3, 4])
    for model in (ours, theirs):
        nn.functional.cross_entropy(model(images), labels).backward()
    assert torch.equal(ours(images), theirs(images))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-12, atol=1e-15)  # sums in another order, float64


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        # By hand: 6·(25+1) + 12·(150+1) + 120·(192+1) + 60·(120+1) + 10·(60+1)
        ("lenet", FASHION, 156 + 1812 + 23160 + 7260 + 610),
        # 32·(27+1) + 64·(288+1) + 128·(576+1) + 256·(2048+1) + 10·(256+1)
        ("cifar_cnn", CIFAR, 896 + 18496 + 73856 + 524544 + 2570),
        # Published for 1,000 classes: 11,689,512. Of that 513·990 less, and 64·3·40 for a 3×3 stem instead of 7×7.
        ("resnet18", CIFAR, 11_689_512 - 513 * 990 - 64 * 3 * 40),
    ],
)
def test_parameter_counts_are_those_computed_by_hand(name, shape, expected):
    assert check_model(ModelChoice(name), shape, 10) == expected


def test_equal_seeds_give_equal_weights_and_leave_the_callers_generator_alone():
    before = torch.random.get_rng_state()
    first, again, other = (build_model(ModelChoice("lenet"), FASHION, 10, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


def test_the_cnns_arguments_shape_it():
    model = CNN(3, 7, (20, 24), channels=(4, 8), kernel_size=(3, 5), hidden=(), padding="same", pool=2,
                batch_norm=True, dropout=0.5)  # fmt: skip
    kinds = [type(m).__name__ for m in model.modules()]
    assert kinds.count("BatchNorm2d") == 2
    assert kinds.count("Dropout") == 1
    assert [m.kernel_size for m in model.modules() if isinstance(m, nn.Conv2d)] == [(3, 3), (5, 5)]
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [(8 * 5 * 6, 7)]


# The smallest of the families that take different paths through the adaptation.
@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_0", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
@pytest.mark.parametrize("shape", [FASHION, CIFAR])
def test_torchvision_models_take_small_images_of_any_channels(name, shape):
    model = build_model(ModelChoice(name), shape, 10, seed=0).eval()
    with torch.no_grad():
        assert model(torch.rand(2, *shape)).shape == (2, 10)


def test_a_small_image_keeps_its_resolution_through_a_resnets_stem():
    model = build_model(ModelChoice("resnet18"), CIFAR, 10, seed=0)
    assert isinstance(model.maxpool, nn.Identity)
    assert model.conv1.stride == (1, 1)


def test_images_too_small_for_a_model_are_enlarged():
    model = build_model(ModelChoice("alexnet", {"dropout": 0.1}), FASHION, 10, seed=0)
    assert isinstance(model, ResizedInput)
    assert model.size == (64, 64)


OWN = r"""
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, width=4):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.Linear(width, num_classes))
    def forward(self, x):
        return self.layers(x)

class Pair(Net):
    def forward(self, x):
        return x, x

class Wide(Net):
    def forward(self, x):
        return torch.zeros(len(x), 1000)

class Whole(Net):
    def forward(self, x):
        return torch.zeros(len(x), 10, dtype=torch.int64)

class Broken(Net):
    def forward(self, x):
        raise RuntimeError('rows of 5 pixels\n  cannot be used')

def function(**arguments):
    return nn.Identity() if arguments["kind"] else 3

constant = 3
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(OWN)
    return path


def test_an_own_class_gets_only_what_its_signature_takes(own):
    model = build_model(ModelChoice(f"{own}:Net", {"width": 9}), FASHION, 5, seed=0)
    assert [tuple(p.shape) for p in model.parameters()] == [(9, 784), (9,), (5, 9), (5,)]
    assert check_model(ModelChoice(f"{own}:Net"), FASHION, 10) == 784 * 4 + 4 + 4 * 10 + 10


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("Net", {"widht": 3}, "model {own}:Net: takes no argument 'widht'; did you mean 'width'?"),
        (
            "Pair",
            {},
            "model {own}:Pair: forward returned a tuple with [0] (2, 1, 28, 28), [1] (2, 1, 28, 28); "
            "it must hold one tensor of logits (batch, 10)",
        ),
        (
            "Wide",
            {},
            "model {own}:Wide: 2 images gave an output of shape (2, 1000), but (2, 10) is needed: "
            "one logit for each of the 10 classes, not 1000: give the last layer that many outputs, "
            "or take num_classes as an argument",
        ),
        (
            "Whole",
            {},
            "model {own}:Whole: the output is torch.int64; logits must be floating-point numbers",
        ),
        (
            "Broken",
            {},
            "model {own}:Broken: a batch of 1×28×28 images raised RuntimeError: rows of 5 pixels cannot be used",
        ),
        ("function", {"kind": False}, "model {own}:function: returned int, which is not a torch.nn.Module"),
        ("constant", {}, "model {own}:constant: is int, neither a class nor a function"),
    ],
)
def test_a_wrong_own_model_is_named_with_its_mistake(own, name, arguments, message):
    with pytest.raises(ModelError) as caught:
        check_model(ModelChoice(f"{own}:{name}", arguments), FASHION, 10)
    assert str(caught.value) == message.format(own=own)


def test_a_missing_name_or_file_is_said(own):
    with pytest.raises(UsageError, match=r"nets.py has no 'Nett'; it defines torch, nn, Net, Pair"):
        build_model(ModelChoice(f"{own}:Nett"), FASHION, 10)
    with pytest.raises(UsageError, match=r"gone.py: no such file"):
        build_model(ModelChoice(f"{own.parent}/gone.py:Net"), FASHION, 10)
    with pytest.raises(UsageError, match=r"no_such_package.nets: no such module"):
        build_model(ModelChoice("no_such_package.nets:Net"), FASHION, 10)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (ModelChoice("cnn", {"chanels": [3]}), "model cnn: takes no argument 'chanels'; did you mean 'channels'?"),
        (
            ModelChoice("fasterrcnn_resnet50_fpn"),  # torchvision has it, and would download weights
            "model: unknown 'fasterrcnn_resnet50_fpn'; `cnnsweep models` lists the known ones",
        ),
        (
            ModelChoice("cnn", {"channels": [4, 4, 4, 4], "kernel_size": 5}),
            "model cnn: ValueError: images of 28×28 have no pixel left after convolution 3 of 4 (kernel_size 5, "
            "pool 2); use fewer channels, a smaller kernel_size, pool: 1 or padding: same",
        ),
        (
            ModelChoice("cnn", {"channels": [4, 4], "kernel_size": [5]}),
            "model cnn: ValueError: kernel_size has 1 values for 2 convolutions",
        ),
        (
            ModelChoice("resnet18", {"widht": 3}),
            "model resnet18: torchvision refuses its arguments: "
            "TypeError: ResNet.__init__() got an unexpected keyword argument 'widht'",
        ),
    ],
)
def test_a_wrong_argument_is_one_clear_line(choice, message):
    with pytest.raises(ModelError) as caught:
        build_model(choice, FASHION, 10)
    assert str(caught.value) == message


def test_the_network_that_comes_with_the_sweeps_fits_cifar_and_has_the_width_asked_for():
    file = Path(__file__).parents[2] / "sweeps" / "cifar10_net.py"
    narrow, wide = (check_model(ModelChoice(f"{file}:Net", {"width": width}), CIFAR, 10) for width in (4, 8))
    # Two of its convolutions' channel counts double: four times as many weights, but for the first and the last layer.
    assert 3.5 * narrow < wide < 4 * narrow
