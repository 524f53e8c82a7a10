"""Whole sweeps over losses, class weights and sampling: odd classes, folds, workers, kills, and what is said."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cnnsweep
from cnnsweep.errors import SpecError

ODD_NAMES = ["1.0", "balanced", "katze ü", "no", "none", "normal"]
MODEL = {"name": "cnn", "channels": [2], "kernel_size": 3, "hidden": [4]}
LOSS = """
import torch
from torch import nn
from torch.nn import functional

class Focal(nn.Module):
    def __init__(self, gamma=2.0, cls_num_list=None, reduction='mean'):
        super().__init__()
        self.gamma = gamma
        self.prior = 0 if cls_num_list is None else torch.log(cls_num_list / cls_num_list.sum())

    def forward(self, logits, targets):
        entropy = functional.cross_entropy(logits + self.prior, targets, reduction='none')
        return ((1 - torch.exp(-entropy)) ** self.gamma * entropy).mean()
"""
DATA = """
import numpy as np

def of(counts, names):
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.random.default_rng(0).integers(0, 255, (len(labels), 8, 8, 3), dtype=np.uint8)
    return (images, labels), (images[:4], labels[:4]), names

def without_elk():
    return of([20, 6, 0], ("cat", "dog", "elk"))

def few_elks():
    return of([20, 10, 2], ("cat", "dog", "elk"))

def cats():
    return of([20], ("cat",))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "data.py").write_text(DATA)
    (folder / "losses.py").write_text(LOSS)
    random = np.random.default_rng(0)
    for label, (name, count) in enumerate(zip(ODD_NAMES, [4, 30, 6, 5, 12, 8], strict=True)):
        for part, images in (("train", count), ("test", 2)):
            (folder / "odd" / part / name).mkdir(parents=True)
            for number in range(images):
                pixels = random.integers(0, 90, (12, 12, 3), dtype=np.uint8)
                pixels[label * 2 : label * 2 + 2, :, label % 3] = 220
                Image.fromarray(pixels).save(folder / "odd" / part / name / f"{number}.png")
    return folder


def spec_of(dataset: Any, params: dict[str, Any], **more: Any) -> dict[str, Any]:
    base = {"name": "s", "dataset": dataset, "model": MODEL, "precision": "fp64", "tensorboard": False}
    return {**base, "params": {"lr": 0.02, "batch_size": 8, "epochs": 2, **params}, **more}


def run(folder: Path, spec: dict[str, Any], **options: Any) -> cnnsweep.Sweep:
    return cnnsweep.run(spec, folder=folder, device="cpu", threads=1, quiet=True, **{"jobs": 1, **options})


def assert_equal(found: cnnsweep.Sweep, expected: cnnsweep.Sweep) -> None:
    found, expected = (one.epochs.sort_values(["run", "epoch"]) for one in (found, expected))
    assert list(found["run"]) == list(expected["run"])
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(*(one[name].astype(float) for one in (found, expected)), rtol=1e-9, err_msg=name)


EVERY = {
    "class_weight": ["none", "balanced", {"balanced": 2, "none": 3, "1.0": 5}, {"katze ü": 2, "no": 4, "normal": 3}],
    "sampling": ["natural", "balanced"],
}


def test_odd_names_of_classes_in_worker_processes(data, tmp_path):
    params = {**EVERY, "loss": ["cross_entropy", f"{data}/losses.py:Focal"]}
    spec = spec_of({"name": "image_folder", "path": f"{data}/odd"}, params)
    alone = run(tmp_path / "alone", spec, fuse="off")
    assert_equal(run(tmp_path / "workers", spec, jobs=2), alone)
    assert alone.epochs["loss"].nunique() == 32
    shown = [json.loads(json.dumps(value)) for value in alone.runs["class_weight"]]
    assert {"1.0": 5, "balanced": 2, "none": 3} in shown or "{1.0: 5, balanced: 2, none: 3}" in shown


@pytest.mark.parametrize("dataset", ["without_elk", "few_elks", "cats"])
@pytest.mark.parametrize("validation", [0.3, {"folds": 3}, 0], ids=["share", "folds", "none"])
def test_classes_without_training_images_do_no_harm(data, tmp_path, dataset, validation):
    weights = ["none", "balanced", "sqrt", *([] if dataset == "cats" else [{"elk": 3}])]
    params = {"class_weight": weights, "sampling": ["natural", "balanced"], "batch_size": 512, "epochs": 1}
    spec = spec_of(f"{data}/data.py:{dataset}", params, validation=validation)
    sweep = run(tmp_path / "s", spec, fuse=8)
    assert set(sweep.runs["status"]) == {"finished"}
    assert np.isfinite(sweep.epochs["loss"]).all()
    assert_equal(sweep, run(tmp_path / "alone", spec, fuse="off"))


def test_a_killed_sweep_resumes_as_if_it_had_not_been(data, tmp_path):
    losses = ["cross_entropy", f"{data}/losses.py:Focal", "torch.nn:MultiMarginLoss"]
    listed = {"name": losses[1], "cls_num_list": [20, 10, 2]}
    params = {"loss": [*losses, listed], "class_weight": ["none", "balanced"], "sampling": "balanced", "epochs": 12}
    spec = spec_of(f"{data}/data.py:few_elks", {**params, "augment": "flip"}, validation=0.3)
    file, folder = tmp_path / "s.json", tmp_path / "killed"
    file.write_text(json.dumps(spec))
    code = (
        "import json, sys, cnnsweep\n"
        "cnnsweep.run(json.load(open(sys.argv[1])), folder=sys.argv[2], device='cpu', jobs=1, threads=1, fuse=2)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, file, folder], stdout=subprocess.DEVNULL, stderr=-3)
    journal, end = folder / "journal.jsonl", time.monotonic() + 60
    while not (journal.exists() and journal.read_text().count('"epoch"') > 8) and time.monotonic() < end:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it had ended: give it more epochs"
    assert_equal(run(folder, spec), run(tmp_path / "whole", spec))


def test_a_search_chooses_losses_weights_and_sampling(data, tmp_path):
    params = {
        "loss": ["cross_entropy", "focal", f"{data}/losses.py:Focal"],
        "loss.gamma": {"uniform": [0.5, 5]},
        "class_weight": {"choice": ["none", "balanced", {"elk": 2, "dog": 1.5}]},
        "sampling": ["natural", "balanced"],
        "epochs": 1,
    }
    for method in ("random", "tpe", "gp"):
        spec = spec_of(f"{data}/data.py:few_elks", params, validation=0.3, search={"method": method, "runs": 6})
        found = run(tmp_path / method, spec)
        assert set(found.runs["status"]) == {"finished"}
        assert len(found.runs) == 6


def test_early_stopping_compares_losses_by_another_metric(data, tmp_path):
    params = {"loss": ["cross_entropy", "focal", "poly", "asymmetric"], "class_weight": ["none", "sqrt"], "epochs": 4}
    sweep = run(tmp_path / "s", spec_of(f"{data}/data.py:few_elks", params, validation=0.3, early_stop="halving"))
    assert set(sweep.runs["status"]) == {"finished", "stopped"}


def test_the_frozen_file_of_a_sweep_means_the_same(data, tmp_path):
    params = {"class_weight": ["none", {"elk": 2.5, "cat": 1}], "loss": [f"{data}/losses.py:Focal", "asymmetric"]}
    spec = spec_of(f"{data}/data.py:few_elks", {**params, "epochs": 1}, validation=0.3)
    first = run(tmp_path / "a", spec)
    frozen = cnnsweep.run(tmp_path / "a" / "sweep.yaml", folder=tmp_path / "b", device="cpu", jobs=1, quiet=True)
    assert list(first.runs["id"]) == list(frozen.runs["id"])


@pytest.mark.parametrize("key", ["include", "params"])
def test_weights_of_an_unknown_class_are_refused_wherever_they_stand(data, tmp_path, key):
    spec = spec_of(f"{data}/data.py:few_elks", {"class_weight": ["none", {"elks" if key == "params" else "elk": 2}]})
    if key == "include":
        spec["include"] = [{"class_weight": {"elks": 2}, "lr": 0.3}]
    with pytest.raises(
        SpecError, match=re.escape("params.class_weight: the data set has no class 'elks'; did you mean")
    ):
        run(tmp_path / "s", spec)
