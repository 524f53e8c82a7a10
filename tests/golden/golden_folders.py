"""What the frozen folders are of, and what of a folder must never move."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.nn import functional

# Archives of another version of cnnsweep, or of this machine, where the frozen ones were made on an unlike one.
ARCHIVES = Path(os.environ.get("CNNSWEEP_GOLDEN", Path(__file__).with_name("folders")))
_FIGURES = ("loss", "accuracy", "val_loss", "val_accuracy")

_HEAD = """
name: golden
dataset: {name: shapes, size: 12, classes: 3, train: 64, test: 30}
model: {name: cnn, channels: [2], kernel_size: 3, hidden: [4], dropout: 0.2}
validation: 0.25
metric: val_loss
"""
_QUIET = "tensorboard: false\n"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of sweep: its file, how it is trained, and at which share of its writes it is killed."""

    file: str
    options: Sequence[str] = ("--fuse", "off")
    killed_at: float = 0.5
    needs: str | None = None  # a package that decides what is trained


KINDS: Mapping[str, Kind] = {
    "alone": Kind(
        _HEAD + "params: {lr: [0.02, 0.002], batch_size: 16, epochs: 4, augment: flip}\n"
        "tensorboard: {graph: false, images: false}\n",
        killed_at=0.6,
    ),
    "fused": Kind(
        _HEAD.replace("dropout", "batch_norm: true, dropout")
        + "params: {lr: [0.02, 0.002, 0.01], batch_size: 20, epochs: [2, 4], augment: flip+crop+cutout}\n"
        + _QUIET,
        ("--fuse", "3"),
    ),
    "folds": Kind(
        _HEAD.replace("0.25", "{folds: 2}")
        + "seeds: 2\nscope: last\nparams: {lr: [0.02, 0.002], batch_size: 16, epochs: 3, shuffle: false}\n"
        + _QUIET,
        ("--fuse", "2"),
    ),
    "optimizers": Kind(
        _HEAD + "params:\n  lr: 0.01\n  batch_size: 16\n  epochs: 4\n  optimizer: [sgd, adam, adamw, rmsprop]\n"
        "  momentum: [0.9]\n  nesterov: [true]\n  label_smoothing: 0.1\n  grad_clip: 1\n"
        "  schedule: [{name: cosine, warmup: 1}, {name: step, every: 2}, one_cycle, {name: constant, warmup: 1}]\n"
        "zip: [optimizer, schedule]\n" + _QUIET,
        ("--fuse", "4"),
    ),
    "precise": Kind(
        _HEAD.replace("validation: 0.25\nmetric: val_loss\n", "validation: 0\nmetric: loss\nmode: min\n")
        + "precision: fp64\nscope: mean of last 2\nparams: {lr: [0.02, 0.005], batch_size: 16, epochs: 3}\n"
        + _QUIET,
    ),
    "halving": Kind(
        _HEAD + "search: {method: random, runs: 6}\nearly_stop: {method: halving, min_epochs: 1, factor: 2}\n"
        "params: {lr: {log_uniform: [1.0e-4, 0.1]}, batch_size: 16, epochs: 4}\n" + _QUIET,
        ("--fuse", "3"),
        killed_at=0.6,
    ),
    "hyperband": Kind(
        _HEAD + "early_stop: {method: hyperband, min_epochs: 1, factor: 2}\n"
        "params: {lr: [0.05, 0.02, 0.005, 0.001, 0.0002], batch_size: 16, epochs: 5}\n" + _QUIET,
        killed_at=0.6,
    ),
    "passing": Kind(
        _HEAD + "search: {method: tpe, runs: 6, round: 3}\nearly_stop: {method: halving, min_epochs: 1, factor: 2}\n"
        "params: {lr: {log_uniform: [1.0e-4, 0.1]}, batch_size: 16, epochs: 4}\n" + _QUIET,
        ("--fuse", "3"),
        killed_at=0.6,
        needs="optuna",
    ),
    "patience": Kind(
        _HEAD + "seeds: 2\nearly_stop: {method: patience, epochs: 1, min_delta: 0.01}\n"
        "params: {lr: [0.02, 0.0001], batch_size: 16, epochs: 5}\n" + _QUIET,
        ("--fuse", "4"),
    ),
    "workers": Kind(
        _HEAD + "params: {lr: [0.02, 0.01, 0.005, 0.002], batch_size: 16, epochs: 4}\n" + _QUIET,
        ("--fuse", "off", "--jobs", "2", "--threads", "1"),
        killed_at=0.6,
    ),
}


def unpack(kind: str, folder: Path) -> Path:
    """Unpack a kind's archive: `whole` and `cut` are sweep folders, `expected.json` is what they must come to."""
    with tarfile.open(ARCHIVES / f"{kind}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def computes_like() -> dict[str, str]:
    """Return what two machines must agree in to train to the same bits.

    A name of a CPU says too much and too little, so a small training of torch's own stands in for it.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    chance = torch.Generator().manual_seed(0)
    digest = hashlib.sha256()
    for groups, batch in ((1, 16), (3, 16), (4, 20)):
        images = torch.rand(batch, groups, 12, 12, generator=chance)
        filters = torch.randn(2 * groups, 1, 3, 3, generator=chance).requires_grad_()
        matrix = torch.randn(groups, 50, 3, generator=chance).requires_grad_()
        optimizer = torch.optim.Adam([filters, matrix], lr=0.02, foreach=True)
        for _ in range(8):
            optimizer.zero_grad()
            hidden = functional.max_pool2d(functional.conv2d(images, filters, groups=groups), 2).relu()
            logits = torch.bmm(hidden.view(batch, groups, 50).transpose(0, 1), matrix)
            functional.cross_entropy(logits.reshape(-1, 3), torch.arange(batch * groups) % 3).backward()
            optimizer.step()
        digest.update(filters.detach().numpy().tobytes() + matrix.detach().numpy().tobytes())
    torch.set_num_threads(threads)
    return {
        "torch": torch.__version__,
        "machine": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "probe": digest.hexdigest()[:16],
    }


def events(folder: Path) -> list[dict[str, Any]]:
    """Return the events of a journal that was not cut off within a line."""
    lines = (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def metrics_by_epoch(folder: Path) -> dict[str, dict[str, Any]]:
    """Return each run's metrics after each epoch, by `run/epoch`, as the journal has them; no times."""
    names: dict[str, str] = {}
    found: dict[str, dict[str, Any]] = {}
    for event in events(folder):
        if event["event"] == "run":
            names[event["run"]] = event["name"]
        elif event["event"] == "epoch":
            found[f"{names[event['run']]}/{event['epoch']}"] = {
                name: event[name] for name in (*_FIGURES, "lr", "steps")
            }
        elif event["event"] == "resumed":
            for key in list(found):
                name, _, epoch = key.rpartition("/")
                if name == names[event["run"]] and int(epoch) > event["epoch"]:
                    del found[key]
    return found


def weights(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Return the best weights of each run."""
    return {path.parent.name: load_file(path) for path in sorted(folder.glob("*/best.safetensors"))}


def event_shapes(some: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Return, by kind of event, the types of the fields that all events of that kind have, nested ones too."""
    shapes: dict[str, dict[str, set[str]]] = {}
    for event in some:
        own: dict[str, set[str]] = {}
        for path, value in _leaves(event, ""):
            own.setdefault(path, set()).add(_type_name(value))
        known = shapes.setdefault(event["event"], own)
        for path in list(known):
            if path in own:
                known[path] |= own[path]
            else:
                del known[path]
    return {kind: {path: sorted(types) for path, types in shape.items()} for kind, shape in shapes.items()}


_OPEN = {"settings", "picks[]", "goals", "spec", "conditions"}  # their keys are the sweep's


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and path not in _OPEN:
        inner = [leaf for key, item in value.items() for leaf in _leaves(item, f"{path}.{key}".lstrip("."))]
        return [(path, value), *inner]
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return [(path, value), *(leaf for item in value for leaf in _leaves(item, f"{path}[]"))]
    return [(path, value)]


def _type_name(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
