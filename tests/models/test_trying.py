"""Networks tried before training: once a process, and what is found of them is what training goes by."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cnnsweep.models.build import check_model, is_repeatable, memory_order
from cnnsweep.models.dry_run import why_not_built
from cnnsweep.models.outputs import notes_on_outputs
from cnnsweep.types import ModelChoice

SHAPE, CLASSES = (3, 8, 8), 4
CPU = torch.device("cpu")
OWN = """
from pathlib import Path
from torch import nn

class Net(nn.Module):
    def __init__(self, last="nothing"):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 4)
        self.last = {"nothing": nn.Identity(), "softmax": nn.Softmax(1), "relu": nn.ReLU()}[last]

    def forward(self, x):
        with Path(__file__).with_name("calls").open("a") as calls:
            calls.write("x")
        return self.last(self.fc(self.conv(x).relu().mean((2, 3))))
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "net.py").write_text(OWN)
    return f"{tmp_path / 'net.py'}:Net"


def test_trying_a_network_before_the_data_changes_nothing_of_how_it_trains(own: str) -> None:
    choice = ModelChoice(own, {})
    assert why_not_built(choice, SHAPE, CLASSES) is None
    # As in a worker, which reads no sweep file.
    assert memory_order(choice, SHAPE, CLASSES, CPU) is torch.channels_last


def test_all_that_is_asked_of_a_network_before_training_takes_two_passes_in_each_order(own: str) -> None:
    choice = ModelChoice(own, {})
    assert why_not_built(choice, SHAPE, CLASSES) is None
    assert check_model(choice, SHAPE, CLASSES) == 4 * 3 * 9 + 4 + 4 * 4 + 4
    assert memory_order(choice, SHAPE, CLASSES, CPU) is torch.channels_last
    assert is_repeatable(choice, SHAPE, CLASSES)
    assert notes_on_outputs(choice, SHAPE, CLASSES) == []
    assert len(Path(own.partition(":")[0]).with_name("calls").read_text()) == 4  # in training, in evaluation


@pytest.mark.parametrize(("last", "word"), [("softmax", "probabilities already"), ("relu", "no output is ever neg")])
def test_what_the_passes_leave_open_is_looked_at_further(own: str, last: str, word: str) -> None:
    choice = ModelChoice(own, {"last": last})
    check_model(choice, SHAPE, CLASSES)
    (note,) = notes_on_outputs(choice, SHAPE, CLASSES)
    assert word in note


def test_networks_of_torchvision_are_tried_without_memory() -> None:
    with torch.device("meta"):
        assert check_model(ModelChoice("resnet18", {}), (3, 32, 32), 10) == 11_173_962
