"""A model of another package: an entry point is all that it takes to be listed, checked and trained."""

import json
from pathlib import Path

import pytest
from other_packages import cnnsweep, install

NETS = '''
from typing import Annotated, ClassVar
from pydantic import Field
from cnnsweep.field_types import ListOf, Whole
from cnnsweep.models.base import ModelConfig

class Mlp(ModelConfig, name="mlp"):
    """Mlp: linear layers."""

    list_arguments: ClassVar[tuple[str, ...]] = ("widths",)
    widths: Annotated[list[int], ListOf(Annotated[int, Whole(1, 99)], "a list of whole numbers", (0, 9))] = Field(
        default=[8], description="sizes of the hidden layers"
    )

    def build(self, in_channels, num_classes, image_size):
        from torch import nn

        sizes = [in_channels * image_size[0] * image_size[1], *self.widths]
        hidden = [part for a, b in zip(sizes, sizes[1:]) for part in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], num_classes))

class Soft(Mlp, name="soft"):
    """Soft: with a softmax, which no model should have."""

    def build(self, in_channels, num_classes, image_size):
        from torch import nn

        return super().build(in_channels, num_classes, image_size).append(nn.Softmax(1))
'''
SWEEP = """
name: small
dataset: {name: shapes, size: 12, classes: 2, train: 40, test: 10}
model: mlp
params: {lr: 0.01, batch_size: 8, epochs: 2, model.widths: [[4], [4, 3]]}
device: cpu
tensorboard: false
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    install(tmp_path, "nets", NETS, "cnnsweep.models", mlp="nets:Mlp", soft="nets:Soft")
    (tmp_path / "small.yaml").write_text(SWEEP)
    return tmp_path


def test_it_trains_and_its_argument_is_an_axis(folder: Path) -> None:
    done = cnnsweep(folder, "run", "small.yaml", "--quiet", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    runs = json.loads((folder / "runs/small/results.json").read_text())["runs"]
    assert [run["status"] for run in runs] == ["finished", "finished"]
    assert sorted(run["model.widths"] for run in runs) == [[4], [4, 3]]
    evaluated = cnnsweep(folder, "evaluate", "runs/small", "--json")
    assert evaluated.returncode == 0, evaluated.stderr


def test_it_is_tried_like_custom_code(folder: Path) -> None:
    (folder / "small.yaml").write_text(SWEEP.replace("model: mlp", "model: soft"))
    done = cnnsweep(folder, "run", "small.yaml", "--jobs", "1")
    assert "its outputs are probabilities already" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("model.widths: [[0]]", "params.model.widths: found 0, allowed is a whole number from 1 to 99"),
        ("model.widths: [4, 3]", "params.model.widths: found a list; a list is an axis here"),
        ("model.width: 4", "params.model.width: mlp has no such argument; did you mean 'model.widths'?"),
    ],
)
def test_its_arguments_are_checked(written: str, problem: str, folder: Path) -> None:
    (folder / "small.yaml").write_text(SWEEP.replace("model.widths: [[4], [4, 3]]", written))
    done = cnnsweep(folder, "run", "small.yaml", "--dry-run")
    assert done.returncode == 2
    assert problem in done.stderr.replace("\n", " ")


def test_it_is_listed(folder: Path) -> None:
    assert json.loads(cnnsweep(folder, "models", "--json").stdout)["presets"]["mlp"] == "Mlp: linear layers"
    assert "Mlp: linear layers" in cnnsweep(folder, "models").stdout
