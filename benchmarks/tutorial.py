"""What a user has today: the Fashion-MNIST tutorial's way, written as such loops are written.

Per-sample `DataLoader` with `ToTensor`, one run after the other, TensorBoard with images, graph, epoch scalars and
histograms of weights and gradients, a pandas table, CSV and JSON at the end. It is the baseline of every comparison
here. Two mistakes that such loops are known for are left out, so that its figures can be compared with ours: `shuffle`
reaches the loader, and the last batch counts by its true length.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import product
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
import torchvision
from torch import nn, optim
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from torchvision import transforms


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, kernel_size=5)
        self.conv2 = nn.Conv2d(6, 12, kernel_size=5)
        self.fc1 = nn.Linear(12 * 4 * 4, 120)
        self.fc2 = nn.Linear(120, 60)
        self.out = nn.Linear(60, 10)

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        t = F.max_pool2d(F.relu(self.conv1(t)), kernel_size=2, stride=2)
        t = F.max_pool2d(F.relu(self.conv2(t)), kernel_size=2, stride=2)
        t = F.relu(self.fc1(t.reshape(-1, 12 * 4 * 4)))
        return self.out(F.relu(self.fc2(t)))


def train_grid(data_root: Path, folder: Path, axes: dict[str, list], epochs: int) -> list[dict[str, object]]:
    """Train every combination and return one row per run and epoch; everything but the import is in the time."""
    images = torchvision.datasets.FashionMNIST(data_root, train=True, transform=transforms.ToTensor())
    rows: list[dict[str, object]] = []
    for number, values in enumerate(product(*axes.values()), start=1):
        setting = dict(zip(axes, values, strict=True))
        rows += train_run(images, folder / f"run-{number}", number, setting, epochs)
    frame = pd.DataFrame(rows)
    frame.to_csv(folder / "results.csv")
    (folder / "results.json").write_text(json.dumps(rows))
    return rows


def train_run(
    images, folder: Path, number: int, setting: dict, epochs: int, network=None, evaluate=None
) -> list[dict[str, object]]:
    """Train one run; `network` instead of the tutorial's own, `evaluate` for what is measured after every epoch."""
    rows = []
    run_start = time.perf_counter()
    torch.manual_seed(setting.get("seed", 0))
    network = network or Network()
    loader = DataLoader(images, batch_size=setting["batch_size"], shuffle=setting.get("shuffle", True))
    optimizer = optim.Adam(network.parameters(), lr=setting["lr"])
    writer = SummaryWriter(str(folder))
    sample, _ = next(iter(loader))
    writer.add_image("images", torchvision.utils.make_grid(sample[:32]))
    writer.add_graph(network, sample)
    for epoch in range(1, epochs + 1):
        epoch_start = time.perf_counter()
        total_loss, total_correct = 0.0, 0
        for batch, labels in loader:
            predictions = network(batch)
            loss = F.cross_entropy(predictions, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total_loss += loss.item() * len(batch)
            total_correct += predictions.argmax(dim=1).eq(labels).sum().item()
        loss, accuracy = total_loss / len(images), total_correct / len(images)
        writer.add_scalar("Loss", loss, epoch)
        writer.add_scalar("Accuracy", accuracy, epoch)
        for name, parameter in network.named_parameters():
            writer.add_histogram(name, parameter, epoch)
            writer.add_histogram(f"{name}.grad", parameter.grad, epoch)
        measured = evaluate(network) if evaluate else {}
        now = time.perf_counter()
        rows.append(
            {
                "run": number, "epoch": epoch, "loss": loss, "accuracy": accuracy,
                "epoch_duration": now - epoch_start, "run_duration": now - run_start, **setting,
                **measured,
            }
        )  # fmt: skip
    writer.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--axes", type=json.loads, required=True, help='such as {"lr": [0.01], "batch_size": [100]}')
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    start = time.perf_counter()
    rows = train_grid(arguments.data_root, arguments.out, arguments.axes, arguments.epochs)
    print(json.dumps({"seconds": time.perf_counter() - start, "rows": rows}))


if __name__ == "__main__":
    main()
