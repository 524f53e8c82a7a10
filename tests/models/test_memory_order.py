"""A network trains here as it does in a plain loop, also where its code looks at how values lie in memory.

The plain loop has torch's usual order and nothing of ours but the seeds. In float64 the two differ by rounding.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cnnsweep.datasets.images import MemoryImages
from cnnsweep.datasets.normalize import PixelNormalize
from cnnsweep.errors import FusionError, ModelError
from cnnsweep.models.build import build_model, check_model, is_repeatable, memory_order
from cnnsweep.seeding import derive_seed
from cnnsweep.training.data_module import DataModule, FoldData
from cnnsweep.training.trainer import train_group
from cnnsweep.training.verify_fused import check_fused
from cnnsweep.types import CONSTANT, EpochReport, Hyperparameters, ModelChoice, Run, RunGroup, RunOutcome

CPU = torch.device("cpu")
CLASSES, SIDE, IMAGES, BATCH = 3, 8, 10, 4  # the last batch has two images
USUAL, FAST = torch.contiguous_format, torch.channels_last
HEAD = """
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

class Base(nn.Module):
    def __init__(self, in_channels, num_classes, out=4 * 64):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.LazyLinear(num_classes)
    def forward(self, x):
        return self.fc(self.features(torch.tanh(self.conv(x))))
"""
# What follows the first convolution, and is given to the last layer, as people write it.
FORMS = {
    "rows": "x.view(x.size(0), -1)",  # the commonest line of tutorials
    "rows of a number": "x.view(-1, 4 * 64)",
    "rows by shape": "x.view(x.shape[0], -1)",
    "rows by keyword": "x.view(size=(x.size(0), 256))",
    "rows of a tuple": "x.view((x.size(0), -1))",
    "view_as": "x.view_as(x.flatten(1))",
    "twice": "x.view(x.size(0), 4, -1).view(x.size(0), -1)",
    "pooled": "F.max_pool2d(x, 2).view(x.size(0), -1)",
    "dense": "torch.cat([x, torch.tanh(self.conv2(x))], 1).view(x.size(0), -1)",
    "shuffled channels":
        "self.conv2(x.view(x.size(0), 2, 2, 8, 8).transpose(1, 2).contiguous().view(x.size(0), 4, 8, 8)).mean((2, 3))",
    "squeeze and excite":
        "(x * F.adaptive_avg_pool2d(x, 1).view(x.size(0), 4).sigmoid().view(x.size(0), 4, 1, 1)).view(x.size(0), -1)",
    "patches": "x.view(x.size(0), 4, 2, 4, 2, 4).permute(0, 2, 4, 1, 3, 5).contiguous().view(x.size(0), 4, -1).mean(1)",
    "heads": "(lambda q: (q @ q.transpose(-2, -1)).softmax(-1) @ q)(x.view(x.size(0), 2, 2, 64)).view(x.size(0), -1)",
    "permuted": "x.permute(0, 2, 3, 1).contiguous().view(x.size(0), -1)",
    "detached": "(x / x.detach().view(x.size(0), -1).norm(dim=1).view(-1, 1, 1, 1)).view(x.size(0), -1)",
    "data": "(x - x.data.view(x.size(0), -1).mean(1).view(-1, 1, 1, 1)).view(x.size(0), -1)",
    "unfolded": "x.unfold(2, 3, 2).unfold(3, 3, 2).contiguous().view(x.size(0), -1)",
    "columns": "F.unfold(x, 3, stride=2).view(x.size(0), -1)",
    "weights": "F.conv2d(x, self.conv2.weight - self.conv2.weight.view(4, -1).mean(1).view(-1, 1, 1, 1)).mean((2, 3))",
    "norm": "self.norm(x).view(x.size(0), -1)",
    "flattened": "x.flatten(1)",
    "reshaped": "x.reshape(x.size(0), -1)",
    "dropout": "F.dropout(x, 0.5, self.training).mean((2, 3))",
    "dropout and rows": "F.dropout2d(x, 0.5, self.training).view(x.size(0), -1)",
}  # fmt: skip
ALONE = {
    "strided": "x.as_strided((x.size(0), 128), (256, 2))",
    "strided windows": "torch.as_strided(x, (x.size(0), 4, 6, 6, 3), (256, 64, 8, 1, 8)).flatten(1)",
    "strides": "x.flatten(1) * x.stride(1)",
    "asks for its order": "x.flatten(1) * (2.0 if x.is_contiguous() else 3.0)",
    "numpy in memory order": "x.flatten(1) + torch.from_numpy(x.detach().numpy().ravel('K').copy()).view(-1, 256)",
}
# The last three have views that every order allows, of channels or of rows alone.
IN_FAST_ORDER = {
    "flattened", "reshaped", "dropout", "unfolded", "columns", "permuted", "shuffled channels", "patches", "heads",
}  # fmt: skip
MORE = """
class Volumes(nn.Module):
    '''Filters of five dimensions, which have no channels-last order of four.'''
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv = nn.Conv3d(1, 4, 3, padding=1)
        self.fc = nn.Linear(4, num_classes)
    def forward(self, x):
        return self.fc(torch.tanh(self.conv(x.unsqueeze(1))).mean((2, 3, 4)))

class Images(nn.Module):
    '''No convolution: the images themselves are seen in another way.'''
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.count = in_channels * 64
        self.fc = nn.Linear(self.count, num_classes)
    def forward(self, x):
        return self.fc(x.view(-1, self.count))

class TorchsStrides(nn.Module):
    '''Knows how torch's own images lie, also those of one channel.'''
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.channels = in_channels
        self.fc = nn.Linear(1, num_classes)
    def forward(self, x):
        assert x.stride() == (self.channels * 64, 64, 8, 1), x.stride()
        return self.fc(x.mean((1, 2, 3))[:, None])

class Backward(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        return x * 2
    @staticmethod
    def backward(context, gradient):
        return gradient.view(-1).view(gradient.shape) * 2

class InBackward(nn.Module):
    '''Shows the order in the backward pass alone.'''
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3)
        self.fc = nn.Linear(4, num_classes)
    def forward(self, x):
        return self.fc(self.conv2(Backward.apply(self.conv(x))).mean((2, 3)))

class InEvaluation(Base):
    def features(self, x):
        return x.flatten(1) if self.training else x.view(x.size(0), -1)

class Wrong(Base):
    def features(self, x):
        x = x.view(x.size(0), -1)
        return x @ x

class WrongBackward(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.fc = nn.Linear(64, num_classes)
    def forward(self, x):
        y = self.fc(x[:, 0].flatten(1))
        y.register_hook(lambda gradient: 1 / 0)
        return y

class Clock(Base):
    calls = 0
    def features(self, x):
        Clock.calls += 1
        return x.flatten(1) * Clock.calls
"""


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("code") / "memory_nets.py"
    classes = [
        f"class {class_of(name)}(Base):\n    def features(self, x):\n        return {form}\n"
        for name, form in {**FORMS, **ALONE}.items()
    ]
    file.write_text("\n".join([HEAD, *classes, MORE]))
    return file


def class_of(name: str) -> str:
    return name.title().replace(" ", "").replace("_", "")


def choice_of(nets: Path, name: str) -> ModelChoice:
    return ModelChoice(f"{nets}:{class_of(name)}")


def task_of(channels: int) -> DataModule:
    """Ten images to train on, whose pixels go in as they are, and none held out."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 4, (IMAGES, channels, SIDE, SIDE), generator=random, dtype=torch.uint8)
    part = FoldData(
        torch.arange(IMAGES), torch.arange(IMAGES), PixelNormalize((0.0,) * channels, (1 / 255,) * channels)
    )
    return DataModule(MemoryImages(images, torch.arange(IMAGES) % CLASSES), (part,), CLASSES, CPU, "fp64")


def runs_of(choice: ModelChoice, count: int) -> list[Run]:
    h = Hyperparameters(
        lr=0.1, batch_size=BATCH, shuffle=False, epochs=1, optimizer="sgd", momentum=0.9, nesterov=False, beta1=None,
        beta2=None, eps=None, weight_decay=0.0, schedule=CONSTANT, label_smoothing=0.0, grad_clip=None,
        augment=(), seed=1,
    )  # fmt: skip
    each = [dataclasses.replace(h, lr=h.lr / (k + 1), seed=k) for k in range(count)]
    return [Run(f"run{k}", f"run{k}", choice, own, {}, f"c{k}") for k, own in enumerate(each)]


class Collector:
    def __init__(self) -> None:
        self.weights: dict[str, dict[str, Tensor]] = {}
        self.val_losses: dict[str, float | None] = {}
        self.causes: list[str | None] = []

    def on_batch_end(self, *_: object) -> None:
        pass

    def on_epoch_end(self, reports: list[EpochReport]) -> dict[str, object]:
        for report in reports:
            self.weights[report.record.run_id] = {name: tensor.clone() for name, tensor in report.weights.items()}
            self.val_losses[report.record.run_id] = report.record["val_loss"]
        return {}

    def on_resume(self, run_ids: object) -> dict[str, object]:
        return {}

    def on_run_end(self, outcome: RunOutcome) -> None:
        self.causes.append(outcome.cause)


def by_hand(task: DataModule, run: Run) -> tuple[dict[str, Tensor], float]:
    """Train as a notebook does, with contiguous images; return the weights and the validation loss."""
    h, shape = run.hyperparameters, task.images.image_shape
    model = build_model(run.model, shape, CLASSES, seed=h.seed).double()
    images, labels = task.images.images.double(), task.images.labels
    optimizer = torch.optim.SGD(model.parameters(), lr=h.lr, momentum=0.9)
    model.train()
    for step, (batch, targets) in enumerate(zip(images.split(BATCH), labels.split(BATCH), strict=True)):
        torch.manual_seed(derive_seed(h.seed, "forward", 1, step))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch), targets).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        return model.state_dict(), nn.functional.cross_entropy(model(images), labels).item()


def assert_trained_as_by_hand(task: DataModule, runs: list[Run], *, together: bool) -> None:
    collector = Collector()
    for group in [runs] if together else [[run] for run in runs]:
        train_group(RunGroup.of(tuple((run,) for run in group)), task, collector, {})  # type: ignore[arg-type]
    assert collector.causes == [None] * len(runs)
    for run in runs:
        expected, val_loss = by_hand(task, run)
        for name, tensor in expected.items():
            torch.testing.assert_close(collector.weights[run.id][name], tensor, rtol=1e-9, atol=1e-9)
        assert collector.val_losses[run.id] == pytest.approx(val_loss, rel=1e-9)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [n for n in [*FORMS, *ALONE] if n != "dropout"])  # drawn in the order of memory
def test_network_trains_alone_as_in_a_plain_loop(nets, name, channels):
    assert_trained_as_by_hand(task_of(channels), runs_of(choice_of(nets, name), 1), together=False)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [n for n in FORMS if n != "dropout"])
def test_network_trains_in_a_group_as_in_a_plain_loop(nets, name, channels):
    task, runs = task_of(channels), runs_of(choice_of(nets, name), 3)
    check_fused(runs, task)
    assert_trained_as_by_hand(task, runs, together=True)


@pytest.mark.parametrize("name", ["strided", "strided windows", "strides"])
def test_what_looks_at_memory_trains_alone_and_says_why(nets, name):
    with pytest.raises(FusionError, match=r"(as_strided|stride): depends on how values lie in memory"):
        check_fused(runs_of(choice_of(nets, name), 2), task_of(3))


@pytest.mark.parametrize("name", ["Volumes", "Images", "TorchsStrides", "InBackward", "InEvaluation"])
@pytest.mark.parametrize("channels", [1, 3])
def test_odd_network_trains_alone_as_in_a_plain_loop(nets, name, channels):
    choice = ModelChoice(f"{nets}:{name}")
    check_model(choice, (channels, SIDE, SIDE), CLASSES)
    assert_trained_as_by_hand(task_of(channels), runs_of(choice, 1), together=False)


@pytest.mark.parametrize("name", [*FORMS, *ALONE])
def test_order_is_the_faster_one_only_where_it_does_not_show(nets, name):
    found = memory_order(choice_of(nets, name), (3, SIDE, SIDE), CLASSES, CPU)
    assert found is (FAST if name in IN_FAST_ORDER else USUAL)


@pytest.mark.parametrize("name", ["lenet", "cifar_cnn", "resnet18"])
def test_our_own_and_torchvisions_networks_keep_the_faster_order(name):
    assert memory_order(ModelChoice(name), (3, 32, 32), 10, CPU) is FAST


def test_images_of_one_pixel_are_no_matter(nets):
    task = dataclasses.replace(task_of(3), images=MemoryImages(torch.ones(IMAGES, 3, 1, 1, dtype=torch.uint8),
                                                               torch.arange(IMAGES) % CLASSES))  # fmt: skip
    assert_trained_as_by_hand(task, runs_of(choice_of(nets, "rows"), 1), together=False)
    assert_trained_as_by_hand(task, runs_of(choice_of(nets, "rows"), 2), together=True)


def test_mistake_is_told_as_torch_tells_it(nets):
    """Not as the one that channels-last would have made before it."""
    with pytest.raises(ModelError, match="mat1 and mat2 shapes cannot be multiplied"):
        check_model(ModelChoice(f"{nets}:Wrong"), (3, SIDE, SIDE), CLASSES)


def test_mistake_in_the_backward_pass_is_found_before_training(nets):
    with pytest.raises(ModelError, match="a batch of 3×8×8 images raised ZeroDivisionError: division by zero"):
        check_model(ModelChoice(f"{nets}:WrongBackward"), (3, SIDE, SIDE), CLASSES)


def test_network_that_gives_other_values_each_time_is_noticed(nets):
    choice = ModelChoice(f"{nets}:Clock")
    assert not is_repeatable(choice, (3, SIDE, SIDE), CLASSES)
    assert is_repeatable(choice_of(nets, "rows"), (3, SIDE, SIDE), CLASSES)
    assert is_repeatable(choice_of(nets, "dropout"), (3, SIDE, SIDE), CLASSES)
    with pytest.raises(FusionError, match="alone it gives different values each time, with equal seeds"):
        check_fused(runs_of(choice, 2), task_of(3))
