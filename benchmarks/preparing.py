"""What every side is given: the images, written once into one file, and its task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from works import COLOURED, FASHION, VALIDATION, Axes, Side, Work

from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.splits import split_indices
from cnnsweep.models.build import build_model
from cnnsweep.types import DatasetChoice, ModelChoice


def prepare_images(work: Work, data_root: Path, folder: Path) -> tuple[Path, str]:
    """Write a work's images into one file, if it is not there yet; return it and what they are."""
    choice, what = _choose_dataset(work, data_root)
    file = folder / f"{work.dataset}-{work.images}.npz"
    if not file.exists():
        part = load_dataset(choice, data_root).train
        # In a random order, because those of a folder come class by class.
        chosen = torch.from_numpy(np.random.default_rng(0).permutation(len(part))[: work.images])
        images, labels = next(iter(part.batches([chosen], torch.device("cpu"))))
        is_held_out = np.zeros(len(labels), bool)
        is_held_out[split_indices(labels, VALIDATION, seed=0)[1].numpy()] = True
        classes = int(labels.max()) + 1
        np.savez(file, images=images.numpy(), labels=labels.numpy(), is_held_out=is_held_out, classes=classes)
    return file, what


def _choose_dataset(work: Work, data_root: Path) -> tuple[DatasetChoice, str]:
    """Return the work's data set where it lies in the data root, else drawn images of its size."""
    if work.dataset == FASHION and (data_root / "FashionMNIST").is_dir():
        return DatasetChoice(FASHION), "Fashion-MNIST"
    if work.dataset == COLOURED and (data_root / "cifar-10-batches-py").is_dir():
        return DatasetChoice(COLOURED), "CIFAR-10"
    if work.dataset == COLOURED and (data_root / COLOURED / "train").is_dir():
        return DatasetChoice("image_folder", {"path": str(data_root / COLOURED)}), "CIFAR-10 (image files)"
    drawn: dict[str, Any] = {"train": work.images, "test": 10}
    if work.dataset == FASHION:
        return DatasetChoice("shapes", drawn), "drawn shapes of 28×28"
    return DatasetChoice("shapes", {**drawn, "size": 32, "channels": 3}), "drawn shapes of 32×32 in colour"


def count_flop(work: Work, images: Path) -> int:
    """Return the floating-point operations of a run's epoch, forward and backward, without evaluation."""
    from torch.utils.flop_counter import FlopCounterMode

    arrays = np.load(images)
    batch = torch.from_numpy(arrays["images"][:2]).float()
    classes = int(arrays["classes"])
    model = build_model(ModelChoice(work.model, work.arguments), tuple(batch.shape[1:]), classes, 0)
    with FlopCounterMode(display=False) as counter:
        model(batch).sum().backward()
    return counter.get_total_flops() // len(batch) * work.trained_images


def write_task(work: Work, side: Side, images: Path, axes: Axes, folder: Path, device: str) -> Path:
    """Write what a side has to do into a new folder; return the file."""
    out = folder / "out"
    out.mkdir(parents=True)
    task = {
        **{"images": str(images), "model": work.model, "arguments": work.arguments, "axes": axes},
        **{"epochs": work.epochs, "validation": VALIDATION, "out": str(out), "device": device},
        "options": side.options,
    }
    file = folder / "task.json"
    file.write_text(json.dumps(task))
    return file
