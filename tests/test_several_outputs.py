"""A model that returns more than logits trains, is measured, predicts and is exported as one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_sweeps import SMALL, SilentDisplay, sweep, tables

from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint
from cnnsweep.evaluation.export import ExportOptions, export_checkpoint
from cnnsweep.evaluation.predict import PredictionOptions, Predictor

CODE = """
from torch import nn

class Plain(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))

class Several(Plain):
    def forward(self, x):
        features = self.conv(x).relu().mean((2, 3))
        return {"features": features, "logits": self.fc(features)}
"""
FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sweeps of both models, each alone and as one program."""
    home = tmp_path_factory.mktemp("several")
    (home / "nets.py").write_text(CODE)
    found = {}
    for name in ("Plain", "Several"):
        for fuse in ("off", 2):
            text = SMALL.replace(SMALL.splitlines()[3], f"model: {home / 'nets.py'}:{name}").replace(
                ", dropout: 0.2", ""
            )
            found[f"{name} {fuse}"] = home / f"{name}-{fuse}"
            sweep(found[f"{name} {fuse}"], text.replace("graph: false", "graph: true"), fuse=fuse)
    return found


def best(folder: Path) -> Path:
    return folder / tables(folder)["runs"][0]["run"] / "best.safetensors"


@pytest.mark.parametrize("fuse", ["off", 2])
def test_it_trains_to_the_same_figures(folders, fuse):
    plain, several = (tables(folders[f"{name} {fuse}"]) for name in ("Plain", "Several"))
    assert len(plain["epochs"]) == 4
    for one, other in zip(plain["epochs"], several["epochs"], strict=True):
        assert [one[f] for f in FIGURES] == [other[f] for f in FIGURES]
    first, second = (load_file(best(folders[f"{name} {fuse}"])) for name in ("Plain", "Several"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_it_is_measured_and_predicts_alike(folders):
    plain, several = (best(folders[f"{name} off"]) for name in ("Plain", "Several"))
    options = EvaluationOptions(Path(), allow_code=True)
    assert evaluate_checkpoint(plain, options).loss == evaluate_checkpoint(several, options).loss
    images = torch.randint(256, (4, 1, 12, 12), dtype=torch.uint8)
    found = [Predictor(file, PredictionOptions("cpu", allow_code=True)).predict(images) for file in (plain, several)]
    assert torch.equal(*found)


@pytest.mark.parametrize("format_", ["torch-export", "safetensors"])
def test_its_logits_alone_are_exported(folders, tmp_path, format_):
    file = tmp_path / "model"
    exported = export_checkpoint(best(folders["Several off"]), ExportOptions(format_, file, Path(), allow_code=True))
    assert exported.difference < 1e-6
    if format_ == "safetensors":
        assert load_file(file).keys() == load_file(best(folders["Plain off"])).keys()
    else:
        program = torch.export.load(file).module()
        assert program(torch.zeros(3, 1, 12, 12, dtype=torch.uint8)).shape == (3, 3)


def test_its_graph_is_in_tensorboard(folders):
    run = best(folders["Several off"]).parent
    assert any(b"aten::linear" in file.read_bytes() for file in run.glob("events.out.tfevents.*"))


def test_what_is_left_out_of_the_loss_is_said_once(tmp_path, folders):
    display = SilentDisplay()
    model = f"{folders['Several off'].parent / 'nets.py'}:Several"
    sweep(tmp_path / "again", SMALL.replace(SMALL.splitlines()[3], f"model: {model}"), display)
    said = [text for text in display.messages if "counts as the logits" in text]
    assert said == [
        f"model {model}: forward returns a dict, of which logits counts as the logits; features is left out of the loss"
    ]
