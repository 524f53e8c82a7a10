"""The same sweep twice gives the same results, bit for bit, on a CPU with equally many threads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from small_sweeps import SilentDisplay, sweep, untimed

from cnnsweep.config.load import parse_sweep
from cnnsweep.sweep import SweepOptions, run_sweep

BASE = """
name: twice
dataset: {name: shapes, size: 12, classes: 3, train: 60, test: 30}
model: {name: cnn, channels: [4], kernel_size: 3, hidden: [8], batch_norm: true, dropout: 0.3}
tensorboard: false
"""
GRID = (
    BASE
    + """
params:
  lr: 0.01
  optimizer: [adam, adamw, sgd, rmsprop]
  batch_size: 16
  augment: {flip: true, crop: 2, cutout: 3}
  epochs: 2
seeds: 2
"""
)
SEARCH = (
    BASE
    + """
params:
  lr: {log_uniform: [1e-3, 0.3]}
  optimizer: [adam, sgd]
  batch_size: [16, 32]
  epochs: 2
search: {method: METHOD, runs: 4, seed: 3}
early_stop: {method: halving, factor: 2}
"""
)
TEXTS = {"grid": GRID, **{m: SEARCH.replace("METHOD", m) for m in ("random", "sobol", "tpe", "gp")}}


@pytest.mark.parametrize("fuse", ["off", 4], ids=["alone", "together"])
@pytest.mark.parametrize("kind", TEXTS)
def test_a_sweep_twice_gives_the_same_bits(tmp_path, kind, fuse):
    for name in ("first", "second"):
        sweep(tmp_path / name, TEXTS[kind], fuse=fuse)
    assert untimed(tmp_path / "first") == untimed(tmp_path / "second")


def test_another_seed_gives_other_bits(tmp_path):
    for seed in (0, 1):
        sweep(tmp_path / str(seed), GRID, overrides=[f"seed={seed}"])
    assert untimed(tmp_path / "0")["batch losses"] != untimed(tmp_path / "1")["batch losses"]


@pytest.mark.faults
@pytest.mark.parametrize("kind", ["grid", "tpe"])
def test_hashes_of_another_process_change_no_bit(tmp_path, kind):
    sweep(tmp_path / "here", TEXTS[kind], fuse=4)
    (tmp_path / "sweep.yaml").write_text(TEXTS[kind])
    for seed in ("1", "2"):
        command = ["run", str(tmp_path / "sweep.yaml"), "--out", str(tmp_path / seed), "--fuse", "4", "--quiet"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-m", "cnnsweep", *command], check=True, env=environment)
        assert untimed(tmp_path / seed) == untimed(tmp_path / "here")


@pytest.mark.faults
@pytest.mark.parametrize("fuse", ["off", 2], ids=["alone", "together"])
def test_real_images_twice_give_the_same_bits(tmp_path, shared_data, fuse):
    text = "name: twice\ndataset: fashion_mnist\nmodel: lenet\nparams:\n  lr: [0.003, 0.001]\n  batch_size: 500\n"
    text += "  epochs: 1\ntensorboard: false\n"
    for name in ("first", "second"):
        run_sweep(parse_sweep(text, "t.yaml"), SweepOptions(tmp_path / name, shared_data, fuse=fuse), [SilentDisplay()])
    assert untimed(tmp_path / "first") == untimed(tmp_path / "second")
