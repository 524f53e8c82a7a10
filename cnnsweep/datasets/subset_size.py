"""Size of a subset of the training images, and its check; without torch, for sweep files."""

from __future__ import annotations

from cnnsweep.formatting.numbers import count_text


def subset_size(subset: int | float, images: int) -> int:
    """Return the number of images: a share (float) of all, or the count itself."""
    return round(subset * images) if isinstance(subset, float) else subset


def subset_problem(subset: int | float, images: int, classes: int) -> str | None:
    """Return the reason why a subset cannot have this size, or None.

    Args:
        images: number of training images.
        classes: number of classes that need an image each; 0 where an image may have several labels.
    """
    count = subset_size(subset, images)
    least = max(classes, 1)
    if count > images:
        return f"found {subset:,}, but the data set has {count_text(images, 'training image')}; leave it out for all"
    if count < least:
        share = "" if isinstance(subset, int) else f", which is {count_text(count, 'image')} of {images:,}"
        needed = "allowed is at least one" if classes == 0 else f"its {classes:,} classes need an image each"
        return f"found {subset:,}{share}, but {needed}"
    return None
