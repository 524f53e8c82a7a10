"""Choice of misclassified images to show: some of each class, the most confident mistakes first."""

from __future__ import annotations

import io
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from cnnsweep.analysis.run_evaluation import WrongImage
from cnnsweep.datasets.images import ImageSet

MOST_PICTURES = 24  # maximum number of images that are kept as pictures
_LARGEST_SHOWN = 256  # maximum side in pixels; larger images are reduced


def wrong_images(
    images: ImageSet,
    classes: Sequence[str],
    positions: Tensor,
    labels: Tensor,
    predicted: Tensor,
    sure: Tensor,
    most: int,
) -> list[WrongImage]:
    """Return up to `most` misclassified images, the first with their pictures.

    Args:
        positions: (N,) of all measured images in the set; labels, predicted class and its probability likewise.
    """
    chosen = choose_wrong(labels, predicted, sure, len(classes))[:most]
    pictures = pictures_of(images, positions[chosen[:MOST_PICTURES]])
    return [
        WrongImage(
            index=int(positions[place]),
            label=classes[int(labels[place])],
            predicted=classes[int(predicted[place])],
            probability=float(sure[place]),
            png=pictures[number] if number < len(pictures) else b"",
            file=images.file_name(int(positions[place])),
        )
        for number, place in enumerate(chosen.tolist())
    ]


def choose_wrong(labels: Tensor, predicted: Tensor, sure: Tensor, classes: int) -> Tensor:
    """Return the places of all misclassified images in turns: one of each true class, then the next of each.

    Within a class, the most confident mistake comes first. Within a turn, the class with the largest share of
    misclassified images does. So no class fills the board, and all have a place as long as there is room.
    """
    is_wrong = predicted != labels
    wrong = is_wrong.nonzero()[:, 0]
    images = torch.bincount(labels, minlength=classes)
    mistakes = torch.bincount(labels[wrong], minlength=classes)
    by_share = (mistakes / images.clamp(min=1)).sort(descending=True, stable=True).indices
    place_of_class = torch.empty_like(by_share)
    place_of_class[by_share] = torch.arange(classes)
    by_sureness = wrong[sure[wrong].nan_to_num(0.0).sort(descending=True, stable=True).indices]
    by_class = by_sureness[labels[by_sureness].sort(stable=True).indices]
    first = mistakes.cumsum(0) - mistakes
    turns = torch.arange(len(wrong)) - first[labels[by_class]]
    return by_class[(turns * classes + place_of_class[labels[by_class]]).sort(stable=True).indices]


def pictures_of(images: ImageSet, positions: Tensor) -> list[bytes]:
    """Return images as PNG files."""
    if not len(positions):
        return []
    pixels, _ = next(iter(images.batches([positions], torch.device("cpu"))))
    return [_as_png(one) for one in pixels]


def _as_png(pixels: Tensor) -> bytes:
    """Return (C, H, W) uint8 as a PNG file; for other channel counts than 1 and 3, the first displayable channels."""
    shown = pixels[:3] if len(pixels) >= 3 else pixels[:1]
    picture = Image.fromarray(shown[0].numpy() if len(shown) == 1 else shown.permute(1, 2, 0).contiguous().numpy())
    picture.thumbnail((_LARGEST_SHOWN, _LARGEST_SHOWN))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
