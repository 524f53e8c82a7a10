"""Sweep files that between them use everything that enters the identity of a run.

Each is small: the ids of some thousand runs, made without torch, would take seconds. `code` holds files of a person's
own that they name, `picks` the settings that a search has asked for, since what it asks for is not part of the file.
"""

from __future__ import annotations

from collections.abc import Mapping

CODE: Mapping[str, str] = {
    "nets.py": "class Net:\n    pass\n",
    "inner/loaders.py": "def load(fold):\n    pass\n",
    "golden_package/__init__.py": "",
    "golden_package/nets.py": "class Net:\n    pass  # of a package\n",
}

# By data set, a name or the arguments of one; each trains `lenet` with defaults.
_DATASETS: Mapping[str, str] = {
    **{name: name for name in ("fashion_mnist", "mnist", "kmnist", "qmnist", "cifar10", "cifar100", "svhn", "emnist")},
    "emnist_letters": "{name: emnist, split: letters}",
    "shapes": "shapes",
    "shapes_arguments": "{name: shapes, size: 16, channels: 3, classes: 4, train: 100, test: 20, seed: 3}",
    "image_folder": "{name: image_folder, path: photos}",
    "image_folder_arguments": (
        "{name: image_folder, path: photos, size: [64, 96], channels: 3, test: 0.25, broken: skip}"
    ),
    "image_folder_square": "{name: image_folder, path: photos, size: 32, channels: 1, test: 0}",
    "own_file": "{name: inner/loaders.py:load, fold: 3}",
    "own_package": "{name: golden_package.nets:load, share: 0.5, names: [a, b]}",
    "normalize_none": "{name: mnist, normalize: none}",
    "normalize_standard": "{name: mnist, normalize: standard}",
    "normalize_number": "{name: mnist, normalize: {mean: 0.5, std: 1}}",
    "normalize_channels": "{name: cifar10, normalize: {mean: [0.491, 0.482, 0.447], std: [0.247, 0.243, 0.262]}}",
}

# By model, a name or the arguments of one; each on `shapes` with defaults.
_MODELS: Mapping[str, str] = {
    "cnn": "cnn",
    "cnn_arguments": (
        "{name: cnn, channels: [16, 32], kernel_size: 3, hidden: [64], batch_norm: true, dropout: 0.2, "
        "padding: same, pool: 2}"
    ),
    "cnn_lists": "{name: cnn, channels: [4, 8], kernel_size: [5, 3], hidden: []}",
    "lenet_argument": "{name: lenet, kernel_size: 3}",
    "cifar_cnn": "cifar_cnn",
    "densenet121": "{name: densenet121, drop_rate: 0.1}",
    "resnet18": "resnet18",
    "own_file": "{name: nets.py:Net, width: 32, shape: {a: 1, b: [1.0, null, true]}}",
    "own_package": "golden_package.nets:Net",
}

# The rest of a sweep file, on `shapes` with `lenet` where it names nothing else.
_RESTS: Mapping[str, str] = {
    "no_params": "",
    "numbers": "params: {lr: [1.0e-1, 0.01, 1, 1.0e-10], batch_size: [1, 1.0e+3], epochs: [1, 3], shuffle: [true, no]}",
    "adam": "params: {optimizer: adam, beta1: [0.9, 0.95], beta2: [0.99, 0.999], eps: [1.0e-8, 1.0e-6]}",
    "adamw": "params: {optimizer: adamw, weight_decay: [0, 0.01, 0.1], beta1: 0.8}",
    "sgd": "params: {optimizer: sgd, momentum: [0, 0.9], nesterov: [false, true], weight_decay: [0, 1.0e-4]}",
    "rmsprop": "params: {optimizer: rmsprop, momentum: [0, 0.5], eps: 1.0e-6}",
    "optimizers": (
        "params: {optimizer: [sgd, adam, adamw, rmsprop], momentum: [0, 0.9], nesterov: [no, yes], beta1: 0.85}"
    ),
    "schedules": (
        "params:\n  epochs: 6\n  schedule:\n    - constant\n    - {name: constant, warmup: 2}\n    - cosine\n"
        "    - {name: cosine, warmup: 1.5, final: 0.01}\n    - one_cycle\n    - {name: one_cycle, peak: 0.25}\n"
        "    - {name: step, every: 2}\n    - {name: step, every: 2, factor: 0.5, warmup: 1}"
    ),
    "augment": (
        "params: {augment: [none, flip, crop, cutout, flip+crop, flip+crop+cutout, "
        "{flip: true, crop: 2, cutout: 16}, {crop: 1}]}"
    ),
    "regularised": "params: {label_smoothing: [0, 0.1], grad_clip: [none, 1, 0.5], dropout: [0, 0.5]}\nmodel: cnn",
    "seed": "seed: 7",
    "seed_axis": "seed: 7\nparams: {seed: [0, 1, 9223372036854775807]}",
    "seeds_number": "seed: 10\nseeds: 3",
    "seeds_list": "seeds: [1, 7, 42]\nparams: {lr: [0.1, 0.01]}",
    "folds": "validation: {folds: 3}\nparams: {lr: [0.1, 0.01]}",
    "folds_and_seeds": "validation: {folds: 2}\nseeds: 2",
    "validation_number": "validation: 500",
    "validation_share": "validation: 0.25",
    "validation_none": "validation: 0",
    "bf16": "precision: bf16",
    "fp64": "precision: fp64",
    "metric_val_loss": "metric: val_loss",
    "metric_accuracy": "metric: accuracy",
    "metric_loss_max": "metric: loss\nmode: max",
    "scope_last": "scope: last",
    "scope_mean": "scope: mean of last 3",
    "zip": "params: {lr: [0.1, 0.05], batch_size: [512, 256], epochs: [1, 2]}\nzip: [lr, batch_size]",
    "when": (
        "params: {optimizer: [adam, sgd], momentum: [0, 0.9], nesterov: [false, true]}\n"
        "when: {momentum: {optimizer: sgd}, nesterov: {momentum: '> 0'}}"
    ),
    "exclude": (
        "params: {optimizer: [adam, sgd, rmsprop], lr: [0.001, 0.01, 0.1, 1], batch_size: [32, 64]}\n"
        "exclude: [{optimizer: adam, lr: '> 0.1'}, {lr: '>= 0.01 and < 0.1', batch_size: [32]}, {optimizer: '!= adam', "
        "lr: 0.001}]"
    ),
    "include": (
        "params: {lr: [0.1, 0.01], batch_size: [64, 128]}\n"
        "include: [{lr: 0.5, batch_size: 1024, label_smoothing: 0.1}, {lr: 0.1, batch_size: 64}]"
    ),
    "model_axis": "params: {model: [lenet, resnet18, {name: cnn, channels: [8, 16]}, 'nets.py:Net']}",
    "model_arguments": (
        "model: cnn\nparams: {model.channels: [[6, 12], [16, 32]], model.hidden: [[120, 60], []], "
        "model.kernel_size: [3, 5], model.batch_norm: true}"
    ),
    "not_part_of_it": (
        "description: text\ndevice: cpu\ntensorboard: false\nearly_stop: {method: patience, epochs: 2}\n"
        "params: {lr: [0.1, 0.01]}"
    ),
    "the_same_without": "params: {lr: [0.1, 0.01]}",
    "random": (
        "search: {method: random, runs: 3, seed: 1}\n"
        "params: {lr: {log_uniform: [1.0e-4, 1.0e-1]}, dropout: {uniform: [0, 0.5], step: 0.1}, "
        "batch_size: {log_integer: [16, 512]}, weight_decay: {normal: [1.0e-3, 5.0e-4], min: 0, max: 2.0e-3}, "
        "optimizer: {choice: [adam, sgd]}, epochs: {integer: [5, 30], step: 5}}\nmodel: cnn"
    ),
    "sobol": "search: {method: sobol, runs: 4}\nparams: {lr: {log_uniform: [1.0e-4, 1.0e-1]}, shuffle: [yes, no]}",
    "tpe_conditions": (
        "search: {method: tpe, runs: 8, round: 4, seed: 2}\nseeds: 2\n"
        "params: {lr: {log_uniform: [1.0e-4, 1.0e-1]}, optimizer: [adam, sgd], momentum: [0, 0.9]}\n"
        "when: {momentum: {optimizer: sgd}}\nexclude: [{optimizer: adam, lr: '> 0.05'}]\n"
        "include: [{lr: 0.005, optimizer: adam}]"
    ),
    "cmaes_and_hyperband": (
        "search: {method: cmaes, runs: 6}\nearly_stop: {method: hyperband, min_epochs: 1, factor: 3}\n"
        "params: {lr: {log_uniform: [1.0e-3, 1.0e-1]}, label_smoothing: {uniform: [0, 0.2]}, epochs: 9}"
    ),
    "grid_and_hyperband": (
        "early_stop: {method: hyperband, min_epochs: 2, factor: 4}\n"
        "params: {lr: [0.1, 0.05, 0.02, 0.01, 0.005], epochs: 32}"
    ),
    "halving": "early_stop: {method: halving, min_epochs: 1, factor: 1.5}\nparams: {lr: [0.1, 0.05], epochs: 7}",
}

# By the name of a search above, what it has asked for, as the journal has it: numbers, and positions of options.
PICKS: Mapping[str, list[Mapping[str, float | int]]] = {
    "tpe_conditions": [
        {"lr": 0.0123, "optimizer": 0, "momentum": 0},
        {"lr": 0.0008, "optimizer": 1, "momentum": 1},
        {"lr": 0.05, "optimizer": 0, "momentum": 1},
    ],
    "cmaes_and_hyperband": [{"lr": 0.02, "label_smoothing": 0.1}, {"lr": 0.001, "label_smoothing": 0.0}],
}


def sweep_files() -> dict[str, str]:
    """Return the text of every sweep file, by a name."""
    files = {f"dataset/{name}": _text(dataset=written) for name, written in _DATASETS.items()}
    files |= {f"model/{name}": _text(model=written) for name, written in _MODELS.items()}
    return files | {name: _text(model=_model_beside(rest), rest=rest) for name, rest in _RESTS.items()}


def _text(dataset: str = "shapes", model: str | None = "lenet", rest: str = "") -> str:
    lines = ["name: golden", f"dataset: {dataset}", *([] if model is None else [f"model: {model}"]), rest]
    return "\n".join(lines) + "\n"


def _model_beside(rest: str) -> str | None:
    """Return the model of a file whose rest may name one itself."""
    return None if rest.startswith("model:") or "\nmodel:" in rest or "{model:" in rest else "lenet"
