"""SIGKILL at random times: nothing unreadable, no finished epoch lost, and in the end the very same results."""

from __future__ import annotations

from pathlib import Path

import pytest
from kill_harness import campaign
from sweep_processes import SweepToRun

SHAPES = """
name: killed
dataset: {name: shapes, size: 12, classes: 3, train: 120, test: 30}
model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8], dropout: 0.2}
params:
  lr: [0.01, 0.001, 0.0001]
  batch_size: 16
  augment: flip
  epochs: 4
tensorboard: {graph: false}
"""

SEARCH = """
name: killed
dataset: {name: shapes, size: 12, classes: 3, train: 120, test: 30}
model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8]}
params:
  lr: {log_uniform: [1e-3, 0.3]}
  optimizer: [adam, sgd]
  batch_size: 16
  epochs: 4
search: {method: tpe, runs: 6, seed: 3, round: 3}
early_stop: {method: halving, factor: 2}
tensorboard: false
"""

FASHION = """
name: killed
dataset: {name: REAL_IMAGES:load, folder: FOLDER}
model: lenet
params:
  lr: [0.003, 0.001]
  batch_size: 100
  epochs: 3
tensorboard: {graph: false}
"""

KINDS = {
    "alone": SweepToRun(SHAPES),
    "together": SweepToRun(SHAPES, fuse=3),
    "search": SweepToRun(SEARCH, fuse=3),
}


def assert_nothing_lost(totals):
    assert (totals.unreadable, totals.lost, totals.unequal) == ([], [], 0), totals


@pytest.mark.parametrize("kind", ["together"])
def test_a_few_kills_change_nothing(tmp_path, kind):
    assert_nothing_lost(campaign(kind, KINDS[kind].forked, tmp_path, 4, seed=1))


@pytest.mark.faults
@pytest.mark.parametrize("kind", KINDS)
def test_many_kills_change_nothing(tmp_path, capsys, kind):
    totals = campaign(f"shapes, {kind}", KINDS[kind].forked, tmp_path, 50, seed=2)
    with capsys.disabled():
        print(f"\n{totals}")
    assert_nothing_lost(totals)


@pytest.mark.faults
@pytest.mark.parametrize("fuse", ["off", 2], ids=["alone", "together"])
def test_kills_on_real_images_change_nothing(tmp_path, capsys, shared_data, fuse):
    text = FASHION.replace("REAL_IMAGES", str(Path(__file__).with_name("real_images.py")))
    killed = SweepToRun(text.replace("FOLDER", str(shared_data)), fuse)
    totals = campaign(f"Fashion-MNIST, fuse={fuse}", killed.forked, tmp_path, 25, seed=3)
    with capsys.disabled():
        print(f"\n{totals}")
    assert_nothing_lost(totals)


@pytest.mark.faults
def test_kills_of_the_command_line_change_nothing(tmp_path, capsys):
    totals = campaign("command line", KINDS["together"].command, tmp_path, 8, seed=4)
    with capsys.disabled():
        print(f"\n{totals}")
    assert_nothing_lost(totals)
