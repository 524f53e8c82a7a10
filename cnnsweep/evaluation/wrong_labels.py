"""Choice of images with wrong labels to show: those with the most certain mistakes, in turns of one for each label."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnnsweep.analysis.run_evaluation import WrongImage
from cnnsweep.datasets.images import ImageSet
from cnnsweep.evaluation.wrong_images import MOST_PICTURES, choose_wrong, pictures_of

NO_LABEL = "none"


def wrong_label_images(
    images: ImageSet,
    classes: Sequence[str],
    positions: Tensor,
    labels: Tensor,
    probabilities: Tensor,
    thresholds: Sequence[float],
    most: int,
) -> list[WrongImage]:
    """Return up to `most` images with labels that are missed or invented, the first with their pictures.

    Args:
        positions: (N,) of all measured images in the set.
        labels, probabilities: (N, classes).
    """
    given = probabilities > torch.tensor(thresholds, dtype=probabilities.dtype)
    has = labels > 0
    sure = torch.where(given, probabilities, 1 - probabilities).where(given != has, -1.0)
    surest, label = sure.max(1)  # of the most certain wrong label of each image
    right = torch.where(surest < 0, label, -1)  # for an image without mistakes, the same as `label`
    chosen = choose_wrong(label, right, surest, len(classes))[:most]
    pictures = pictures_of(images, positions[chosen[:MOST_PICTURES]])
    return [
        WrongImage(
            index=int(positions[place]),
            label=_names(has[place], classes),
            predicted=_names(given[place], classes),
            probability=float(surest[place]),
            png=pictures[number] if number < len(pictures) else b"",
            file=images.file_name(int(positions[place])),
            missed=_list(has[place] & ~given[place], classes),
            invented=_list(given[place] & ~has[place], classes),
        )
        for number, place in enumerate(chosen.tolist())
    ]


def _list(is_one: Tensor, classes: Sequence[str]) -> tuple[str, ...]:
    return tuple(classes[label] for label in is_one.nonzero()[:, 0].tolist())


def _names(is_one: Tensor, classes: Sequence[str]) -> str:
    return ", ".join(_list(is_one, classes)) or NO_LABEL
