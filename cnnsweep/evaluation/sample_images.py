"""Sample images for a checkpoint's model, from its data set if that is present."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from cnnsweep.datasets.base import DATASETS
from cnnsweep.datasets.load import load_dataset
from cnnsweep.errors import CnnSweepError
from cnnsweep.evaluation.model_card import Description
from cnnsweep.plugins import is_reference

_COUNT = 64


def sample_images(
    about: Description, data_root: Path, loading: Callable[[str, int, int], None] | None = None
) -> tuple[Tensor, str]:
    """Return images (N, C, H, W) uint8 and their description; random images if the data set is missing.

    Nothing is downloaded.
    """
    try:
        found = None if _would_be_downloaded(about, data_root) else load_dataset(about.dataset, data_root, loading)
    except CnnSweepError:
        found = None
    images = None if found is None else found.test or found.train
    if images is None or images.image_shape != about.image_shape:
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randint(0, 256, (_COUNT, *about.image_shape), dtype=torch.uint8, generator=generator)
        return drawn, f"random images, since {about.dataset.name} is not below --data-root"
    positions = torch.linspace(0, len(images) - 1, min(_COUNT, len(images))).long()
    (batch, _labels) = next(iter(images.batches([positions], torch.device("cpu"))))
    return batch, f"images of {about.dataset.name}"


def _would_be_downloaded(about: Description, data_root: Path) -> bool:
    dataset = about.dataset
    return not is_reference(dataset.name) and bool(
        DATASETS.get(dataset.name).model_validate(dataset.arguments).missing_files(data_root)
    )
