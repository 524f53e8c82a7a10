"""The tutorial's loop (benchmarks/tutorial.py) on the same images: per-sample loader, TensorBoard, pandas."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pandas as pd
import torch
from contract import EVALUATION_BATCH, Images, Reached, Task, load_images, make_model, serve
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import to_tensor

sys.path.insert(0, str(Path(__file__).parent.parent))

import tutorial


class PerSample(Dataset):
    """Images as torchvision's data sets hand them out: an array becomes a PIL image, and that a tensor, one by one."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        last = images.permute(0, 2, 3, 1).numpy()
        self.arrays = last[..., 0] if last.shape[-1] == 1 else last
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
        return to_tensor(Image.fromarray(self.arrays[position])), int(self.labels[position])


@torch.no_grad()
def measure_accuracy(network: torch.nn.Module, part: PerSample) -> float:
    network.eval()
    correct = 0
    for images, labels in DataLoader(part, batch_size=EVALUATION_BATCH):
        correct += network(images).argmax(dim=1).eq(labels).sum().item()
    network.train()
    return correct / len(part)


def train(task: Task) -> Reached:
    images: Images = load_images(task.images)
    train_part = PerSample(images.train, images.train_labels)
    held_out = PerSample(images.held_out, images.held_out_labels)
    rows, epoch_rows = [], []
    began = time.time()
    for number, run in enumerate(task.runs, start=1):
        found = tutorial.train_run(
            train_part,
            task.out / f"run-{number}",
            number,
            run,
            task.epochs,
            network=make_model(task, images, run["seed"]),
            evaluate=lambda network: {"val_accuracy": measure_accuracy(network, held_out)},
        )
        epoch_rows += found
        rows.append({**run, **{name: found[-1][name] for name in ("loss", "accuracy", "val_accuracy")}})
    pd.DataFrame(epoch_rows).to_csv(task.out / "results.csv")
    return Reached(rows, began)


if __name__ == "__main__":
    serve(train)
