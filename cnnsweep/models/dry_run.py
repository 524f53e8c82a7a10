"""Networks of a sweep file tried before there is any data: whether they can be built, and take such images."""

from __future__ import annotations

import contextlib

import torch

from cnnsweep.errors import CnnSweepError
from cnnsweep.models.build import check_model
from cnnsweep.plugins import is_reference
from cnnsweep.types import ModelChoice


def why_not_built(model: ModelChoice, image_shape: tuple[int, int, int], num_classes: int) -> str | None:
    """Return why a network cannot be built, or does not fit images (C, H, W) of so many classes; None if it does.

    Of torchvision's, built are tensors without memory, torch's `meta` device; what fails there is built again as it
    will be. A person's own are built as they will be: what is found of them holds for the whole process, and some code
    works on real tensors only.
    """
    if not is_reference(model.name):
        with contextlib.suppress(Exception), torch.random.fork_rng(devices=[]), torch.device("meta"):
            check_model(model, image_shape, num_classes)
            return None
    try:
        check_model(model, image_shape, num_classes)
    except CnnSweepError as error:
        return str(error)
    return None
