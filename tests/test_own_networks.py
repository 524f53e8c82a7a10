"""Networks as people write them, by the whole tool: trained alone and in a group, measured, used, exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from small_sweeps import SilentDisplay, sweep, tables, untimed

from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_checkpoint
from cnnsweep.evaluation.export import ENDINGS, ExportOptions, export_checkpoint
from cnnsweep.evaluation.predict import PredictionOptions, Predictor
from cnnsweep.storage.best_weights import load_best

NETS = """
import random
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

class View(nn.Module):
    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 6 * 6, num_classes)
    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.fc(x.view(x.size(0), -1))

class Strided(View):
    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.fc(x.as_strided((x.size(0), 144), (144, 1)))

class Lazy(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv, self.norm, self.fc = nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.LazyLinear(num_classes)
    def forward(self, x):
        return self.fc(F.relu(self.norm(self.conv(x))).flatten(1))

class Coin(View):
    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        if not self.training or random.random() < 0.5:
            x = x * float(np.random.rand()) if self.training else x
        return self.fc(x.reshape(x.size(0), -1))

class Noisy(View):
    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2) * (1 + 0.1 * random.random() + 0.1 * torch.rand(()).item())
        return self.fc(x.reshape(x.size(0), -1))

class Unrepeatable(View):
    generator = np.random.default_rng()
    def forward(self, x):
        return super().forward(x) * float(self.generator.random())
"""
SWEEP = """
name: own
dataset: {{name: shapes, size: 12, classes: 3, train: 60, test: 30}}
model: {file}:{net}
params: {{lr: [0.05, 0.01], batch_size: 16, epochs: 2}}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("code") / "networks.py"
    path.write_text(NETS)
    return path


def text_of(file: Path, net: str) -> str:
    return SWEEP.format(file=file, net=net)


@pytest.mark.parametrize(
    ("net", "fuse"),
    [("View", "off"), ("View", 2), ("Strided", "off"), ("Lazy", "off"), ("Lazy", 2), ("Coin", 2), ("Noisy", "off")],
)
def test_network_is_trained_measured_used_and_exported(tmp_path, file, net, fuse):
    folder = tmp_path / "sweep"
    result = sweep(folder, text_of(file, net), fuse=fuse)
    assert {status.value for status in result.statuses.values()} == {"finished"}
    content = tables(folder)
    run = content["sweep"]["best"]
    (row,) = [row for row in content["runs"] if row["run"] == run]
    measured = evaluate_checkpoint(folder, EvaluationOptions(tmp_path, "val", "cpu", allow_code=True))
    if net != "Noisy":  # it draws in evaluation, after the last step in training
        assert measured.loss == pytest.approx(row["val_loss"], rel=1e-5)
        written = json.loads((folder / run / "evaluation.json").read_text())
        assert written["loss"] == pytest.approx(row["val_loss"], rel=1e-5)
    again = evaluate_checkpoint(folder, EvaluationOptions(tmp_path, "val", "cpu", allow_code=True))
    assert again.loss == measured.loss
    predictor = Predictor(folder, PredictionOptions("cpu", allow_code=True))
    images = torch.randint(0, 256, (5, 1, 12, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    expected = predictor.predict(images)
    assert torch.equal(predictor.predict(images), expected)
    pixels = load_best(folder / run / "best.safetensors").description["pixels"]
    if net != "Noisy":  # a person's own loop
        with torch.no_grad():
            logits = predictor.model((images / 255 - pixels["mean"][0]) / pixels["std"][0])
        torch.testing.assert_close(logits.softmax(1), expected, rtol=1e-4, atol=1e-6)
    for style in ("torch-export", "safetensors") if net != "Noisy" else ():
        output = tmp_path / f"model{ENDINGS[style]}"
        assert export_checkpoint(folder, ExportOptions(style, output, tmp_path, allow_code=True)).difference < 1e-4
    event_files = [path.read_bytes() for path in (folder / run).glob("events*")]
    assert any(b"conv" in content for content in event_files)  # the graph


@pytest.mark.parametrize("net", ["Coin", "Noisy", "Lazy", "View"])
def test_two_sweeps_with_equal_seeds_are_equal(tmp_path, file, net):
    for name in ("first", "again"):
        sweep(tmp_path / name, text_of(file, net))
    assert untimed(tmp_path / "first") == untimed(tmp_path / "again")


@pytest.mark.parametrize("net", ["Coin", "Noisy"])
def test_what_python_draws_is_not_kept_in_a_group(tmp_path, file, net):
    display = SilentDisplay()
    sweep(tmp_path / "sweep", text_of(file, net), display=display, fuse=2)
    assert any("its forward cannot be traced: it draws random numbers in Python code" in n for n in display.notes)


def test_network_that_no_seed_repeats_is_told(tmp_path, file):
    for net in ("Unrepeatable", "View"):
        display = SilentDisplay()
        sweep(tmp_path / net, text_of(file, net), display=display)
        told = [line for line in display.messages if "gives different values in each call with equal" in line]
        assert len(told) == (net == "Unrepeatable")
