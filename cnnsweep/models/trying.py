"""Networks of a sweep file tried before there is any data: whether they can be built, and take such images."""

from __future__ import annotations

import contextlib

import torch

from cnnsweep.data.catalogue import PUBLISHED_NAMES, published
from cnnsweep.errors import CnnSweepError
from cnnsweep.models.registry import check_model
from cnnsweep.records import DatasetChoice, ModelChoice
from cnnsweep.user_code import is_reference


def why_not_built(model: ModelChoice, dataset: DatasetChoice) -> str | None:
    """Return why a network cannot be built, or does not fit the images of a data set; None if it does.

    Of torchvision's, built are tensors without memory, torch's `meta` device; what fails there is built again as it
    will be. A person's own are built as they will be: what is found of them holds for the whole process, and some code
    works on real tensors only. Of data sets whose images are known only once they are read, nothing is tried.
    """
    known = _images_and_classes(dataset)
    if known is None:
        return None
    if not is_reference(model.name):
        with contextlib.suppress(Exception), torch.random.fork_rng(devices=[]), torch.device("meta"):
            check_model(model, *known)
            return None
    try:
        check_model(model, *known)
    except CnnSweepError as error:
        return str(error)
    return None


def _images_and_classes(dataset: DatasetChoice) -> tuple[tuple[int, int, int], int] | None:
    """Return (C, H, W) and the number of classes, where the data set's name or arguments say both."""
    arguments = dataset.arguments
    if dataset.name in PUBLISHED_NAMES:
        facts = published(dataset.name, arguments.get("split", "balanced"))
        return facts.image_shape, facts.class_count
    if dataset.name == "shapes":
        return (arguments["channels"], arguments["size"], arguments["size"]), arguments["classes"]
    return None
