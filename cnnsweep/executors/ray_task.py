"""Transfer of the runs' shared data to Ray nodes: one copy of the images in each node's object store."""

from __future__ import annotations

import dataclasses
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
import torch
from torch import Tensor

from cnnsweep.datasets.images import ImageSet, MemoryImages
from cnnsweep.datasets.load import load_dataset
from cnnsweep.datasets.streaming import StreamedImages
from cnnsweep.errors import DataError
from cnnsweep.executors.messages import pack, unpack
from cnnsweep.executors.ray_options import NodeData
from cnnsweep.plugins import find_moved_code
from cnnsweep.training.data_module import DataModule


@dataclass(frozen=True, slots=True)
class _StoredImages:
    """Placeholder for images in the object store."""

    labels: Tensor


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The folders of the user's code on a worker.

    Attributes:
        copies: the path of each parent folder's copy, below the start folder of the actor.
        folder: the parent's current folder, for a worker on the same machine.
        path: the parent's module search path, likewise.
    """

    copies: Mapping[str, str]
    folder: str | None = None
    path: Sequence[str] = ()

    @classmethod
    def here(cls) -> Surroundings:
        """Return the folders of this process, for workers on the same machine."""
        return cls({}, str(Path.cwd()), tuple(sys.path))

    def enter(self) -> None:
        """Make this process find code like the parent."""
        for before, now in self.copies.items():
            find_moved_code(before, Path.cwd() / now)
        if self.folder is not None:
            os.chdir(self.folder)
        sys.path.extend(folder for folder in self.path if folder not in sys.path)


def store(task: DataModule, node_data: NodeData | None, surroundings: Surroundings) -> tuple[Any, ...]:
    """Put the task into the object store; return references to its parts.

    Args:
        node_data: the location of the images on the nodes; None sends them.
    """
    images: Any = task.images
    objects: tuple[Any, ...] = ()
    if node_data is not None:
        images = node_data
    elif isinstance(images, MemoryImages):
        objects = (ray.put(images.images.numpy()),)
        images = _StoredImages(images.labels)
    own_task = dataclasses.replace(task, images=images, device=torch.device("cpu"))
    return (ray.put(pack((own_task, surroundings))), *objects)


def load(objects: Sequence[Any], device: str, threads: int) -> DataModule:
    """Return the task on a node.

    Args:
        objects: the references from `store`.
        threads: CPU threads of this worker, which also decode images that do not fit in memory.

    Raises:
        DataError: the data set of the node is missing or differs.
    """
    task: DataModule
    task, surroundings = unpack(ray.get(objects[0]))
    surroundings.enter()
    images: Any = task.images
    if isinstance(images, NodeData):
        images = _from_disk(images)
    elif isinstance(images, _StoredImages):
        images = MemoryImages(_view(ray.get(objects[1])), images.labels)
    if isinstance(images, StreamedImages):
        images = images.with_workers(threads)
    return dataclasses.replace(task, images=images, device=torch.device(device))


def _from_disk(data: NodeData) -> ImageSet:
    if not data.folder.is_dir():
        raise DataError(f"--node-data: no folder {data.folder} on this node; put the data sets there")
    dataset = load_dataset(data.choice, data.folder, seed=data.seed)
    if dataset.fingerprint != data.fingerprint:
        raise DataError(
            f"--node-data: {data.choice.name} in {data.folder} on this node is not the data set of the sweep (its "
            f"SHA-256 begins with {dataset.fingerprint[:12]}, not {data.fingerprint[:12]}); copy it there again"
        )
    return dataset.train


def _view(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """Return an array as a tensor in the same memory, which all workers of the node only read."""
    with warnings.catch_warnings():
        # Torch has no read-only tensors, and warns of read-only arrays.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(pixels)
