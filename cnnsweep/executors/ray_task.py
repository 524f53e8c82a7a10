"""Transfer of the runs' shared data to the nodes of a Ray cluster: images lie once in each node's object store."""

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
    """Placeholder of images that lie in the object store."""

    labels: Tensor


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The folders in which a worker finds the user's code.

    Attributes:
        copies: by folder of the parent's machine, its path below the folder in which the actor was started.
        folder: the parent's current folder, for a worker on the same machine.
        path: its module search path, likewise.
    """

    copies: Mapping[str, str]
    folder: str | None = None
    path: Sequence[str] = ()

    @classmethod
    def here(cls) -> Surroundings:
        """Return the folders of this process, for workers on the same machine."""
        return cls({}, str(Path.cwd()), tuple(sys.path))

    def enter(self) -> None:
        """Let this process find code as the parent does."""
        for before, now in self.copies.items():
            find_moved_code(before, Path.cwd() / now)
        if self.folder is not None:
            os.chdir(self.folder)
        sys.path.extend(folder for folder in self.path if folder not in sys.path)


def store(task: DataModule, node_data: NodeData | None, surroundings: Surroundings) -> tuple[Any, ...]:
    """Put the task into the object store; return references to its parts.

    Args:
        node_data: the place of the images on the nodes; None sends them.
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
        objects: the references that `store` returned.
        threads: CPU threads of this worker, which also decode images that do not fit in memory.

    Raises:
        DataError: the data set of the node is missing, or another one.
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
        raise DataError(f"--node-data: there is no folder {data.folder} on this node; put the data sets there")
    dataset = load_dataset(data.choice, data.folder)
    if dataset.fingerprint != data.fingerprint:
        raise DataError(
            f"--node-data: {data.choice.name} in {data.folder} on this node is not the data set of the sweep (its "
            f"SHA-256 begins with {dataset.fingerprint[:12]}, not {data.fingerprint[:12]}); copy it there again"
        )
    return dataset.train


def _view(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """Return an array as a tensor in the same memory, which all workers of the node read and none writes."""
    with warnings.catch_warnings():
        # Torch has no tensors that cannot be written to, and warns of arrays that cannot.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(pixels)
