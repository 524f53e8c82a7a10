"""Check of a sweep's augmentations before training: on random images, with the shape and on the device of training."""

from __future__ import annotations

import traceback

import torch
from torch import Tensor

from cnnsweep.augmentations.augment import augment
from cnnsweep.augmentations.base import AUGMENTATIONS, OwnFunction
from cnnsweep.augmentations.mix import Mix
from cnnsweep.config.schema import SweepSpec
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.errors import UsageError
from cnnsweep.types import Choice

_SIZES = (8, 1)  # a last batch may have a single image


def check_augmentations(spec: SweepSpec, dataset: Dataset, device: torch.device) -> None:
    """Try each augmentation of a sweep that is not built in, and ask each about the shape of the images.

    Raises:
        UsageError: one does not fit the images, raises, changes their shape or type, or does not repeat.
    """
    image_shape = dataset.train.image_shape
    for choice in distinct_augmentations(spec):
        made = AUGMENTATIONS.make(choice)
        place = made.place if isinstance(made, OwnFunction) else f"augmentation {choice.name}"
        if (why := made.refusal(image_shape)) is not None:
            raise UsageError(f"{place}: {why}")
        if isinstance(made, Mix) and len(dataset.classes) < 2:
            raise UsageError(f"{place}: mixes labels, and the data set has 1 class; name another augmentation")
        if not AUGMENTATIONS.is_built_in(choice.name):
            for size in _SIZES:
                _check(choice, place, (size, *image_shape), device)


def distinct_augmentations(spec: SweepSpec) -> list[Choice]:
    """Return every augmentation of a sweep once."""
    return list(dict.fromkeys(choice for value in augment_values(spec) for choice in value))


def augment_values(spec: SweepSpec) -> list[tuple[Choice, ...]]:
    """Return every value of `augment` of a sweep once, in the order of the file; none is an empty tuple."""
    axis = spec.axes.get("augment", ((),))
    assert isinstance(axis, tuple), "it has no distribution of numbers"
    return list(dict.fromkeys([*axis, *(one["augment"] for one in spec.include if "augment" in one)]))


def _check(choice: Choice, place: str, shape: tuple[int, ...], device: torch.device) -> None:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random).to(device)
    first, again = (_changed(choice, place, images) for _ in range(2))
    if first.shape != images.shape or first.dtype != images.dtype:
        found = f"{str(first.dtype).removeprefix('torch.')} {tuple(first.shape)}"
        raise UsageError(f"{place}: returned images {found}, allowed is uint8 {tuple(images.shape)}")
    if not torch.equal(first, again):
        raise UsageError(
            f"{place}: returned other images for the same ones and the same random numbers; draw with its argument, "
            "the generator or the draws, or with the generators of torch, NumPy and Python"
        )


def _changed(choice: Choice, place: str, images: Tensor) -> Tensor:
    items = torch.arange(len(images), device=images.device)
    try:
        return augment(images, items, (choice,), seed=0, epoch=1)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{place}: {_cause(error, choice)}") from error


def _cause(error: Exception, choice: Choice) -> str:
    """Return an error in one line, with the last line of the user's own file on its way."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
    file = choice.name.rpartition(":")[0]
    own = [one for one in traceback.extract_tb(error.__traceback__) if one.filename == file]
    return f"raised {text}" + (f" ({own[-1].filename}:{own[-1].lineno})" if own else "")
