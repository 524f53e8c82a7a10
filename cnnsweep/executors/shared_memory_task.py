"""Transfer of the runs' shared data to a worker process of this machine: the images are mapped, not copied."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnsweep.datasets.images import ImageSet, MemoryImages
from cnnsweep.datasets.shared_memory import SharedMemory
from cnnsweep.datasets.streaming import StreamedImages
from cnnsweep.training.data_module import DataModule


@dataclass(frozen=True, slots=True)
class MappedImages:
    """Placeholder for images in memory; the worker process has their descriptor under the same number."""

    descriptor: int
    shape: tuple[int, ...]
    labels: Tensor


def with_mapped_images(task: DataModule, device: str) -> tuple[DataModule, tuple[int, ...]]:
    """Return the picklable task for training on a device, and its file descriptors."""
    images: Any = task.images
    descriptors: tuple[int, ...] = ()
    if isinstance(images, MemoryImages):
        memory = images.shared_memory()
        descriptors = (memory.descriptor,)
        images = MappedImages(memory.descriptor, tuple(images.images.shape), images.labels)
    return dataclasses.replace(task, images=images, device=torch.device(device)), descriptors


def with_images(task: DataModule, threads: int) -> DataModule:
    """Restore the task in the worker process.

    Args:
        threads: CPU threads of this worker, which also decode images that do not fit in memory.
    """
    images: Any = task.images
    if isinstance(images, MappedImages):
        size = images.shape[0] * images.shape[1] * images.shape[2] * images.shape[3]
        pixels = SharedMemory(images.descriptor, size).tensor(images.shape)
        whole: ImageSet = MemoryImages(pixels, images.labels)
    else:
        whole = images.with_workers(threads) if isinstance(images, StreamedImages) else images
    return dataclasses.replace(task, images=whole)
