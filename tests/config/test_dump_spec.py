import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnsweep.config.dump import flow_yaml
from cnnsweep.config.load import dump_spec, load_sweep, parse_sweep
from cnnsweep.config.trials import expand_runs
from cnnsweep.config.yaml import read_yaml
from cnnsweep.types import ModelChoice

RICH = """\
name: '1e3'
description: |
  two: lines
  # with 'signs'
dataset: {name: cifar10, normalize: {mean: [0.1, 0.2, 0.3], std: 0.5}}
model: {name: cnn, channels: [8, 16], padding: same}
seed: 12
validation: 0.25
metric: val_loss
device: cpu
precision: bf16
tensorboard: {images: no}
params:
  optimizer: [sgd, adamw]
  momentum: [0, 0.9]
  nesterov: [true, false]
  lr: [1e-5, 1]
  schedule: [cosine, {name: step, every: 2, warmup: 0.5}]
  augment: [none, flip+crop, {cutout: 3}]
  grad_clip: [none, 1e-20]
  model.channels: [[6, 12]]
  model.kernel_size: [3, [3, 5]]
  seed: 3
"""


SEARCHED = """\
name: searched
dataset: shapes
model: cnn
zip: [[weight_decay, label_smoothing]]
when:
  momentum: {optimizer: [sgd, rmsprop]}
  nesterov: {optimizer: sgd, momentum: '> 0.5 and != 0.9'}
exclude:
  - {lr: '>= 0.01 and < 0.1', shuffle: yes}
  - {grad_clip: ['!= none', none], optimizer: '== adam', lr: ['> 1e-2', '< 1e-3']}
  - {schedule: '!= cosine', model.channels: [[6, 12]]}
  - {augment: crop+flip, schedule: {name: step, every: 3}}
include:
  - {lr: 3, optimizer: adam, weight_decay: 0, label_smoothing: 0.3, shuffle: no, grad_clip: none, schedule: step,
     augment: {crop: 3}, model.channels: [3, 4], batch_size: 7, epochs: 40, dropout: 0, beta1: 0.5}
search: {method: tpe, runs: 40, seed: 3, round: 4}
seeds: [3, 1]
validation: {folds: 4}
scope: mean of last 3
early_stop: {method: patience, epochs: 3, min_delta: 1e-3, min_epochs: 2}
params:
  optimizer: {choice: [sgd, rmsprop, adam]}
  momentum: {normal: [0.5, 0.1]}
  nesterov: [true, false]
  lr: {log_uniform: [1e-4, 1e-1]}
  weight_decay: [0, 1e-3]
  label_smoothing: [0, 0.1]
  shuffle: [yes, no]
  grad_clip: [none, 1]
  schedule: [cosine, {name: step, every: 3}]
  augment: [none, flip+crop]
  model.channels: [[6, 12], [8]]
  batch_size: {log_integer: [16, 256]}
  epochs: {integer: [2, 20], step: 3}
  dropout: {uniform: [0, 0.5], step: 0.1}
  beta1: {uniform: [0.8, 0.99]}
"""


@pytest.mark.parametrize(
    "rule",
    [
        *("halving", "hyperband", "median", "{method: threshold, value: -0.5, min_epochs: 4}"),
        *("{method: hyperband, factor: 1.5, min_epochs: 2}", "{method: median, min_settings: 2}", "null"),
    ],
)
def test_every_rule_survives(rule: str) -> None:
    text = "name: s\ndataset: shapes\nmodel: cnn\n" + ("" if rule == "null" else f"early_stop: {rule}\n")
    spec = parse_sweep(text, "f")
    assert parse_sweep(dump_spec(spec), "dumped") == spec


@pytest.mark.parametrize(
    "text",
    [
        RICH,
        SEARCHED,
        "name: s\ndataset: shapes\nmodel: lenet\n",
        "name: 'null'\ndataset: {name: image_folder, path: '007', size: [3, 4]}\nparams: {model: [lenet, resnet18]}\n",
        "name: s\ndataset: emnist\nmodel: {name: 'a.b:C', x: ['1e-3', no, null, {'1': ['']}], y: 1.0}\nvalidation: 0\n",
    ],
)
def test_dumped_spec_means_the_same(text: str) -> None:
    spec = parse_sweep(text, "f")
    again = parse_sweep(dump_spec(spec), "dumped")
    assert again == spec
    assert expand_runs(again) == expand_runs(spec)
    assert dump_spec(again) == dump_spec(spec)


def test_dumped_spec_means_the_same_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "here" / "own.py").write_text("x = 1\n")
    file = tmp_path / "here" / "sweep.yaml"
    file.write_text("name: s\ndataset: own.py:load\nparams: {model: [own.py:Net, {name: own.py:Net, w: 2}]}\n")
    spec = load_sweep(file)
    copy = tmp_path / "there" / "sweep.yaml"
    copy.write_text(dump_spec(spec))
    assert expand_runs(load_sweep(copy)) == expand_runs(spec)


def test_dump_holds_every_default() -> None:
    spec = parse_sweep("name: s\ndataset: shapes\nmodel: lenet\nparams:\n  epochs: 2\n  lr: [0.1, 0.2]\n", "f")
    assert dump_spec(spec) == (
        "name: s\n"
        "dataset: {name: shapes, normalize: standard, size: 28, channels: 1, classes: 10, train: 10000, test: 2000,"
        " seed: 0}\n"
        "model: lenet\n"
        "seed: 0\n"
        "validation: 0.1\n"
        "metric: val_accuracy\n"
        "mode: max\n"
        "scope: best\n"
        "device: auto\n"
        "precision: fp32\n"
        "tensorboard: {batch_loss: true, images: true, graph: true, histograms: true, hparams: true}\n"
        "params:\n"
        "  epochs: 2\n"
        "  lr: [0.1, 0.2]\n"
        "  # batch_size: 128 (default)\n"
        "  # shuffle: true (default)\n"
        "  # optimizer: adam (default)\n"
        "  # beta1: 0.9 (default)\n"
        "  # beta2: 0.999 (default)\n"
        "  # eps: 1.0e-08 (default)\n"
        "  # schedule: constant (default)\n"
        "  # loss_function: cross_entropy (default)\n"
        "  # class_weight: none (default)\n"
        "  # sampling: natural (default)\n"
        "  # label_smoothing: 0.0 (default)\n"
        "  # accumulate: 1 (default)\n"
        "  # drop_last: false (default)\n"
        "  # freeze_bn: false (default)\n"
        "  # augment: none (default)\n"
    )


def test_dump_names_the_defaults_of_the_sweeps_optimizers() -> None:
    def defaults(optimizers: str) -> list[str]:
        text = f"name: s\ndataset: shapes\nmodel: lenet\nparams: {{optimizer: {optimizers}}}\n"
        return re.findall(r"# (momentum|nesterov|eps): (\S+) ", dump_spec(parse_sweep(text, "f")))

    assert defaults("muon") == [("momentum", "0.95"), ("nesterov", "true"), ("eps", "1.0e-07")]
    assert defaults("[sgd, muon]") == [("eps", "1.0e-07")]
    assert defaults("[sgd, adam]") == [("momentum", "0.0"), ("nesterov", "false"), ("eps", "1.0e-08")]


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(-1e300, 1e300) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=200), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=300, derandomize=True, deadline=None)
@given(PLAIN)
def test_every_plain_value_is_read_back_as_it_was(value: object) -> None:
    line = flow_yaml(value)
    assert "\n" not in line or not isinstance(value, str)
    assert read_yaml(f"a: {line}", "f").value == {"a": value}


def test_arguments_of_own_models_survive() -> None:
    spec = parse_sweep("name: s\ndataset: shapes\nmodel: {name: 'a.b:C', e: '1e-3', b: 'yes', l: [[]], i: 0x10}\n", "f")
    assert parse_sweep(dump_spec(spec), "f").model == ModelChoice(
        "a.b:C", {"e": "1e-3", "b": "yes", "l": [[]], "i": 16}
    )
