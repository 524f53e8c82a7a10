"""The loop of Ray Tune's and Optuna's own PyTorch examples: images one by one, a `DataLoader`, a plain optimizer.

After docs.ray.io/en/latest/tune/examples/tune-pytorch-cifar.html (there with loader workers, for which a trial of one
CPU has no core) and github.com/optuna/optuna-examples, pytorch/pytorch_simple.py. Who follows the documentation
trains so; sides that train with the hand-tuned loop instead (hand_loop.py) show what the tool itself costs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch._dynamo  # the first step of any stock optimizer imports it, which takes seconds: before the clock
from contract import EVALUATION_BATCH, Images
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import to_tensor

Report = Callable[[dict[str, float]], None]


class PerSample(Dataset):
    """Images as torchvision's data sets hand them out: an array becomes a PIL image, and that a tensor, one by one."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, device: str = "cpu") -> None:
        self.device = device  # where batches go
        last = images.permute(0, 2, 3, 1).numpy()
        self.arrays = last[..., 0] if last.shape[-1] == 1 else last
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
        return to_tensor(Image.fromarray(self.arrays[position])), int(self.labels[position])


def to_data_sets(images: Images, device: str = "cpu") -> tuple[PerSample, PerSample]:
    """Return the images to train on and those held out."""
    train = PerSample(images.train, images.train_labels, device)
    return train, PerSample(images.held_out, images.held_out_labels, device)


def train_run(
    model: nn.Module,
    train: PerSample,
    held_out: PerSample,
    run: dict[str, Any],
    epochs: int,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train one run; return its hyperparameters and the figures of its last epoch, after reporting every one."""
    torch.manual_seed(run["seed"])
    model = model.to(train.device)
    loader = DataLoader(train, batch_size=run["batch_size"], shuffle=run["shuffle"])
    optimizer = torch.optim.Adam(model.parameters(), lr=run["lr"])
    figures: dict[str, float] = {}
    for _ in range(epochs):
        model.train()
        loss_sum, correct = 0.0, 0
        for images, labels in loader:
            images, labels = images.to(train.device), labels.to(train.device)
            optimizer.zero_grad()
            logits = model(images)
            loss = cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(labels)
            correct += (logits.argmax(1) == labels).sum().item()
        accuracy = measure_accuracy(model, held_out)
        figures = {"loss": loss_sum / len(train), "accuracy": correct / len(train), "val_accuracy": accuracy}
        if report is not None:
            report(figures)
    return {**run, **figures}


@torch.no_grad()
def measure_accuracy(model: nn.Module, part: PerSample) -> float:
    model.eval()
    correct = 0
    for images, labels in DataLoader(part, batch_size=EVALUATION_BATCH):
        correct += (model(images.to(part.device)).argmax(1) == labels.to(part.device)).sum().item()
    model.train()
    return correct / len(part)
