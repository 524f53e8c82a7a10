"""A hand-tuned loop: what somebody who knows PyTorch well writes for this work in an hour.

Images lie in memory as floats, channels last, and are sliced instead of collated; Adam is the fused one; no figure is
fetched before the epoch ends. Ray Tune and Optuna are measured with the same loop, so that their rows show what they
cost, and not what a slower loop would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch._dynamo  # the first step of any stock optimizer imports it, which takes seconds: before the clock
from contract import EVALUATION_BATCH, Images, epoch_order
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class FoldData:
    """Images (N, C, H, W) as floats from 0 to 1, and their labels, on the device."""

    images: Tensor
    labels: Tensor


def to_floats(images: Images, device: str = "cpu", *, standardize: bool = False) -> tuple[FoldData, FoldData]:
    """Return the images to train on and those held out, scaled once and laid out as convolutions like them.

    Args:
        standardize: also subtract the mean of the images trained on, and divide by their deviation, channel by channel.
    """
    mean, deviation = torch.zeros(1), torch.ones(1)
    if standardize:
        deviation, mean = torch.std_mean(images.train.float().div_(255), (0, 2, 3), keepdim=True)

    def part(pixels: Tensor, labels: Tensor) -> FoldData:
        # `to` makes the strides of a single channel say channels-last too, which `contiguous` does not.
        last = pixels.to(device).to(torch.float32, memory_format=torch.channels_last)
        last.div_(255).sub_(mean.to(device)).div_(deviation.to(device))
        return FoldData(last, labels.to(device))

    return part(images.train, images.train_labels), part(images.held_out, images.held_out_labels)


def make_optimizer(model: nn.Module, run: dict[str, Any]) -> torch.optim.Optimizer:
    """Return Adam, or SGD with momentum where the run asks for it, in their fused form."""
    decay = run.get("weight_decay", 0.0)
    if run.get("optimizer", "adam") == "sgd":
        momentum = run.get("momentum", 0.0)
        return torch.optim.SGD(model.parameters(), lr=run["lr"], momentum=momentum, weight_decay=decay, fused=True)
    return torch.optim.Adam(model.parameters(), lr=run["lr"], weight_decay=decay, fused=True)


def train_run(
    model: nn.Module,
    train: FoldData,
    held_out: FoldData,
    run: dict[str, Any],
    epochs: int,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train one run; return its hyperparameters and the figures of its last epoch, after reporting every one."""
    model = model.to(train.images.device, memory_format=torch.channels_last)
    optimizer = make_optimizer(model, run)
    figures: dict[str, float] = {}
    for epoch in range(1, epochs + 1):
        order = epoch_order(len(train.labels), run, epoch) if run["shuffle"] else None
        loss, accuracy = train_epoch(model, optimizer, train, order, run["batch_size"])
        figures = {"loss": loss, "accuracy": accuracy, "val_accuracy": measure_accuracy(model, held_out)}
        if report is not None:
            report(figures)
    return {**run, **figures}


def train_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, train: FoldData, order: Tensor | None, batch_size: int
) -> tuple[float, float]:
    """Return mean loss and accuracy over the images as they were trained on."""
    model.train()
    device = train.images.device
    loss_sum, correct = torch.zeros((), device=device), torch.zeros((), dtype=torch.int64, device=device)
    order = None if order is None else order.to(device)
    count = len(train.labels)
    for start in range(0, count, batch_size):
        if order is None:
            images, labels = train.images[start : start + batch_size], train.labels[start : start + batch_size]
        else:
            chosen = order[start : start + batch_size]
            images, labels = train.images[chosen], train.labels[chosen]
        logits = model(images)
        loss = cross_entropy(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss_sum += loss.detach() * len(labels)
        correct += (logits.detach().argmax(1) == labels).sum()
    return float(loss_sum) / count, int(correct) / count


@torch.inference_mode()
def measure_accuracy(model: nn.Module, part: FoldData) -> float:
    model.eval()
    correct = torch.zeros((), dtype=torch.int64, device=part.images.device)
    pairs = zip(part.images.split(EVALUATION_BATCH), part.labels.split(EVALUATION_BATCH), strict=True)
    for images, labels in pairs:
        correct += (model(images).argmax(1) == labels).sum()
    return int(correct) / len(part.labels)
