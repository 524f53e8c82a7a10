"""Number of images of each class."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cnnsweep.types import LabelCounts


def count_labels(labels: Tensor, classes: Sequence[str]) -> LabelCounts:
    """Return the images of each class.

    Args:
        labels: (N,) int64, or (N, classes) of 0 and 1.
    """
    is_multi_label = labels.ndim > 1
    counts = labels.sum(0, dtype=torch.int64) if is_multi_label else torch.bincount(labels, minlength=len(classes))
    return LabelCounts(tuple(classes), tuple(counts.tolist()), len(labels), is_multi_label)
