"""What a program is fed: the batches of an epoch, those that several runs see alike made only once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnnsweep.data.augment import augment
from cnnsweep.data.batches import PixelScale, epoch_order
from cnnsweep.data.images import ImageSet, to_device
from cnnsweep.records import Augmentation, Run


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """What all runs of a sweep share.

    Attributes:
        training, validation: positions in `images`, int64; no validation is an empty tensor.
    """

    images: ImageSet
    training: Tensor
    validation: Tensor
    pixels: PixelScale
    num_classes: int
    device: torch.device
    precision: str

    def steps_per_epoch(self, batch_size: int) -> int:
        """Return the number of batches; the last may be shorter."""
        return -(-len(self.training) // batch_size)


def training_batches(task: TrainingTask, runs: Sequence[Run], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of an epoch for runs that train together.

    Yields:
        Images (N, G·C, H, W) float32 and labels (G, N), on the device; batch g belongs to K/G consecutive runs.
    """
    viewers = _one_of_each_batch(runs)
    orders = torch.stack(
        [epoch_order(task.training, run.hyperparameters.shuffle, run.hyperparameters.seed, epoch) for run in viewers], 1
    )  # (images, G)
    chunks = torch.split(orders, runs[0].hyperparameters.batch_size)
    for items, (images, labels) in zip(chunks, task.images.batches(chunks, task.device), strict=True):
        yield task.pixels.to_model_input(_augmented(images, items, viewers, epoch)), labels.t()


def validation_batches(task: TrainingTask, runs: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the held-out images (N, C, H, W) and labels (N,), in batches that suit so many runs at once."""
    chunks = torch.split(task.validation, evaluation_batch_size(task.images.image_shape, runs))
    for images, labels in task.images.batches(chunks, task.device):
        yield task.pixels.to_model_input(images), labels


def evaluation_batch_size(image_shape: tuple[int, int, int], runs: int = 1) -> int:
    """Return how many images are measured at once: little memory for large images, and for many runs."""
    return max(16, min(1000, 4_000_000 // math.prod(image_shape)) // runs)


def _one_of_each_batch(runs: Sequence[Run]) -> Sequence[Run]:
    """Return G of K runs, each standing for K/G consecutive ones that see the same images in the same order."""
    lengths = [len(list(same)) for _, same in itertools.groupby(runs, lambda run: run.hyperparameters.view)]
    return runs[:: math.gcd(*lengths)]


def _augmented(images: Tensor, items: Tensor, runs: Sequence[Run], epoch: int) -> Tensor:
    """Return the images (N, G, C, H, W), each batch with the augmentation of its run."""
    hows = [run.hyperparameters.augment for run in runs]
    if all(how == Augmentation() for how in hows):
        return images
    items = to_device(items, images.device)
    return torch.stack(
        [augment(images[:, g], items[:, g], how, runs[g].hyperparameters.seed, epoch) for g, how in enumerate(hows)], 1
    )
