"""Sweeps over losses, class weights and sampling on several labels an image: fused as alone, and refused as said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

import cnnsweep
from cnnsweep.datasets.sampling import balanced_order
from cnnsweep.errors import UsageError

DATA = """
import numpy as np

NAMES = ("cat", "dog", "elk")

def part(count):
    random = np.random.default_rng(count)
    rows = random.random((count, 3)) < (0.6, 0.3, 0.1)
    images = random.integers(0, 100, (count, 8, 8, 3), dtype=np.uint8)
    for place in range(3):
        images[rows[:, place], place * 2 : place * 2 + 2, :, place] = 220
    return images, rows

def load():
    return part(60), part(20), NAMES
"""
LOSSES = """
import torch
from torch import nn
from torch.nn import functional

def of_image(logits, targets, power=1.0):
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction='none').mean(-1) ** power

def over_the_batch(logits, targets):
    return functional.binary_cross_entropy_with_logits(logits - logits.mean(0), targets, reduction='none').mean(1)

class Summed(nn.Module):
    def forward(self, x, y):
        return -(y * functional.logsigmoid(x) + (1 - y) * functional.logsigmoid(-x)).sum()

class Labels(nn.Module):
    def __init__(self, reduction='mean'):
        super().__init__()
        self.loss = nn.MultiLabelSoftMarginLoss(reduction=reduction)

    def forward(self, x, y):
        return self.loss(x, y)
"""
BUILT_IN = ["cross_entropy", "focal", "binary_cross_entropy", "poly", "asymmetric", {"name": "asymmetric", "clip": 0}]
WEIGHTS = ["none", "balanced", "sqrt", {"elk": 4}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    (folder / "photos.py").write_text(DATA)
    (folder / "losses.py").write_text(LOSSES)
    return folder


def train(folder: Path, out: Path, fuse: int | str, **params: Any) -> cnnsweep.Sweep:
    spec = {
        "name": "s",
        "dataset": f"{folder}/photos.py:load",
        "model": {"name": "cnn", "channels": [4], "kernel_size": 3, "hidden": [8]},
        "precision": "fp64",
        "metric": "val_loss",
        "metrics": ["macro_f1"],
        "tensorboard": False,
        "params": {"lr": 0.05, "batch_size": 16, "epochs": 2, **params},
    }
    return cnnsweep.run(spec, folder=out / f"{fuse}", device="cpu", jobs=1, threads=1, quiet=True, fuse=fuse)


def assert_fused_as_alone(folder: Path, out: Path, runs: int, **params: Any) -> None:
    fused, alone = (train(folder, out, fuse, **params).epochs for fuse in (8, "off"))
    assert len(fused) == len(alone) == 2 * runs
    fused, alone = (one.sort_values(["run", "epoch"]) for one in (fused, alone))
    for name in ("loss", "val_loss", "accuracy", "val_accuracy", "val_macro_f1"):
        np.testing.assert_allclose(fused[name], alone[name], rtol=1e-9, atol=1e-12, err_msg=name)
    assert alone["loss"].round(9).nunique() > len(alone) // 2


def test_built_in_losses_weights_and_sampling_train_fused_as_alone(folder, tmp_path):
    params = {"loss": BUILT_IN, "class_weight": WEIGHTS, "sampling": ["natural", "balanced"]}
    assert_fused_as_alone(folder, tmp_path, len(BUILT_IN) * len(WEIGHTS) * 2, **params)


def test_own_losses_and_sampling_train_fused_as_alone(folder, tmp_path):
    own = [f"{folder}/losses.py:{name}" for name in ("of_image", "over_the_batch", "Summed", "Labels")]
    losses = [*own, {"name": own[0], "power": 2}, "torch.nn:BCEWithLogitsLoss", "asymmetric"]
    assert_fused_as_alone(folder, tmp_path, len(losses) * 2, loss=losses, sampling=["natural", "balanced"])


def test_the_recorded_loss_has_weights_and_the_validation_loss_has_none(folder, tmp_path):
    """After no step, by a learning rate that is 0 but for rounding, all weightings have one validation loss."""
    sweep = train(folder, tmp_path, 8, class_weight=WEIGHTS, lr=1e-300, epochs=1, batch_size=60)
    assert sweep.epochs["val_loss"].nunique() == 1
    assert sweep.epochs["loss"].nunique() == len(WEIGHTS)


@pytest.mark.parametrize("name", ["of_image", "Summed", "Labels"])
def test_weights_with_an_own_loss_are_refused_before_training(folder, tmp_path, name):
    with pytest.raises(
        UsageError, match=f"params.class_weight: images have several labels here, and losses.py:{name} "
    ):
        train(folder, tmp_path, 8, loss=f"{folder}/losses.py:{name}", class_weight=["none", "balanced"])
    assert not list(tmp_path.glob("*/*/last.safetensors"))


def test_weights_of_torch_as_arguments_are_those_of_torch(folder, tmp_path):
    """The loss of a batch of all images, before any step, against `pos_weight` of torch, by hand."""
    loss = {"name": "torch.nn:BCEWithLogitsLoss", "pos_weight": [1, 2, 3]}
    given = {"cat": 1, "dog": 2, "elk": 3}
    first = train(folder, tmp_path / "a", 8, loss=loss, lr=1e-300, epochs=1).epochs["loss"]
    other = train(folder, tmp_path / "b", 8, class_weight=given, lr=1e-300, epochs=1).epochs["loss"]
    assert list(first) == pytest.approx(list(other), rel=1e-9)


def test_an_epoch_has_each_label_as_often():
    random = torch.Generator().manual_seed(0)
    labels = (torch.rand(400, 3, generator=random) < torch.tensor([0.6, 0.3, 0.05])).to(torch.uint8)
    orders = torch.cat([balanced_order(torch.arange(400), labels, 1, epoch) for epoch in range(1, 21)])
    natural, balanced = labels.float().mean(0), labels[orders].float().mean(0)
    assert float(natural[2]) < 0.1
    assert float(balanced[2]) > 0.25  # a fourth of the places are drawn for it: three labels, and none
    assert float(balanced.max() / balanced.min()) < 0.4 * float(natural.max() / natural.min())


def test_the_default_is_binary_cross_entropy_of_torch():
    from cnnsweep.losses.base import LOSSES
    from cnnsweep.types import Choice

    logits, labels = torch.randn(5, 3, dtype=torch.float64), torch.eye(5, 3, dtype=torch.uint8)
    found = LOSSES.make(Choice("cross_entropy")).mean(logits, labels)
    torch.testing.assert_close(found, binary_cross_entropy_with_logits(logits, labels.double()))
