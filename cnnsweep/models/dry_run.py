"""Trial builds of a sweep file's models before any data is loaded."""

from __future__ import annotations

import contextlib

import torch

from cnnsweep.errors import CnnSweepError
from cnnsweep.models.base import MODELS
from cnnsweep.models.build import check_model
from cnnsweep.types import ModelChoice


def why_not_built(model: ModelChoice, image_shape: tuple[int, int, int], num_classes: int) -> str | None:
    """Return the reason why a model cannot be built for images (C, H, W) and this number of classes, or None.

    Built-in models are built on torch's `meta` device, without memory; models that fail there are built again with it.
    Custom models are built with memory: the findings hold for the whole process, and some code needs real tensors.
    """
    if MODELS.is_built_in(model.name):
        with contextlib.suppress(Exception), torch.random.fork_rng(devices=[]), torch.device("meta"):
            check_model(model, image_shape, num_classes)
            return None
    try:
        check_model(model, image_shape, num_classes)
    except CnnSweepError as error:
        return str(error)
    return None
