"""Test-time augmentation: the mean logits of an image and its mirror images.

Means of logits are what timm and airbench use. They suit every loss and several labels an image, and the cross-entropy
of a mean is at most the mean of the cross-entropies.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cnnsweep.errors import UsageError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.models.logits import logits_of
from cnnsweep.plugins import is_reference

_DIMENSIONS = {"flip": -1, "vertical_flip": -2}  # that is reversed, of images (N, C, H, W)


class WithMirrorImages(nn.Module):
    """A model whose logits are the mean over each image and its mirror images.

    Args:
        classes: number of classes, for the logits in the model's output.
        names: of `flip` and `vertical_flip`; with both, each image counts in four ways.
    """

    def __init__(self, model: nn.Module, classes: int, names: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self._classes = classes
        dimensions = [_DIMENSIONS[name] for name in names]
        counts = range(len(dimensions) + 1)
        self._views = [chosen for count in counts for chosen in itertools.combinations(dimensions, count)]

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, classes) for images (N, C, H, W)."""
        logits = [logits_of(self.model(images.flip(view) if view else images), self._classes) for view in self._views]
        return torch.stack(logits).mean(0)


def with_tta(model: nn.Module, classes: int, tta: str | None) -> nn.Module:
    """Return the model with this test-time augmentation; without any, as it is.

    Raises:
        UsageError: it is unknown.
    """
    names = tta_names(tta)
    return WithMirrorImages(model, classes, names) if names else model


def tta_names(tta: str | None) -> list[str]:
    """Return the parts of `flip+vertical_flip`; none for None and `none`.

    Raises:
        UsageError: one is unknown, or named twice.
    """
    if tta is None or tta == "none":
        return []
    names = [name.strip() for name in tta.split("+")]
    for place, name in enumerate(names):
        if name not in _DIMENSIONS or name in names[:place]:
            wrong = f"{safe_text(repr(name))} twice" if name in _DIMENSIONS else f"unknown {safe_text(repr(name))}"
            raise UsageError(f"tta: {wrong}; allowed are none, {', '.join(_DIMENSIONS)} and {'+'.join(_DIMENSIONS)}")
    return names


def written_tta(tta: str | None) -> str | None:
    """Return the one form in which records name it, None without any.

    Raises:
        UsageError: it is unknown.
    """
    names = tta_names(tta)
    return "+".join(name for name in _DIMENSIONS if name in names) or None


def untrained_note(params: Mapping[str, Any], tta: str | None) -> str | None:
    """Return a note if a run was not trained on mirror images like these, as far as its parameters tell."""
    augment = params.get("augment", "none")
    # The parameters are those of a checkpoint's header, in which a stranger may have written anything.
    text = " ".join(map(str, augment)) if isinstance(augment, list | dict) else str(augment)
    if is_reference(text):
        return None  # the user's own function may mirror images
    unknown = [name for name in tta_names(tta) if name not in text.replace("+", " ").split()]
    return (
        f"the model was not trained on such mirror images: augment has no {' and '.join(unknown)}" if unknown else None
    )
