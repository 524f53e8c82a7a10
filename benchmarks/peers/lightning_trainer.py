"""PyTorch Lightning: a module, a data module and a Trainer for every run.

After lightning.ai/docs/pytorch/stable/advanced/speed.html: loaders with workers, which persist over the epochs; as
many as Lightning itself advises on this machine (one fewer than the cores). Progress bar, model summary and the check
before training are off. Checkpoints and the CSV logger stay as they are by default.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from typing import Any

import lightning
import torch
from contract import EVALUATION_BATCH, Images, Reached, Task, load_images, make_model, serve
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset


class Classifier(lightning.LightningModule):
    def __init__(self, network: nn.Module, lr: float) -> None:
        super().__init__()
        self.network = network
        self.lr = lr

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        images, labels = batch
        logits = self.network(images)
        loss = cross_entropy(logits, labels)
        accuracy = (logits.argmax(1) == labels).float().mean()
        self.log_dict({"loss": loss, "accuracy": accuracy}, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        images, labels = batch
        accuracy = (self.network(images).argmax(1) == labels).float().mean()
        self.log("val_accuracy", accuracy, batch_size=len(labels))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


class InMemoryImages(lightning.LightningDataModule):
    def __init__(self, images: Images, batch_size: int, *, shuffle: bool) -> None:
        super().__init__()
        self.images = images
        self.batch_size = batch_size
        self.shuffle = shuffle

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning's own signature
        images = self.images
        self.train = TensorDataset(images.train.float() / 255, images.train_labels)
        self.held_out = TensorDataset(images.held_out.float() / 255, images.held_out_labels)

    def train_dataloader(self) -> DataLoader:
        return self.loader(self.train, self.batch_size, shuffle=self.shuffle)

    def val_dataloader(self) -> DataLoader:
        return self.loader(self.held_out, EVALUATION_BATCH, shuffle=False)

    def loader(self, part: TensorDataset, batch_size: int, *, shuffle: bool) -> DataLoader:
        workers = max(1, (os.cpu_count() or 1) - 1)
        return DataLoader(part, batch_size, shuffle=shuffle, num_workers=workers, persistent_workers=True)


def train_run(task: Task, images: Images, run: dict[str, Any]) -> dict[str, Any]:
    torch.manual_seed(run["seed"])  # of the loader's order
    trainer = lightning.Trainer(
        max_epochs=task.epochs,
        accelerator="gpu" if task.device == "cuda" else "cpu",
        devices=1,
        logger=CSVLogger(task.out),
        default_root_dir=task.out,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    data = InMemoryImages(images, run["batch_size"], shuffle=run["shuffle"])
    trainer.fit(Classifier(make_model(task, images, run["seed"]), run["lr"]), data)
    return {**run, **{name: float(value) for name, value in trainer.callback_metrics.items()}}


def train(task: Task) -> Reached:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")  # a person reads them once; here they would fill the screen
    images = load_images(task.images)
    began = time.time()
    return Reached([train_run(task, images, run) for run in task.runs], began)


if __name__ == "__main__":
    serve(train)
