"""Notes on an image folder, for display: its images, their conversion, and files left out."""

from __future__ import annotations

from collections.abc import Iterator

from cnnsweep.datasets.decode import FULL_WHITE
from cnnsweep.datasets.decoded_cache import Index
from cnnsweep.datasets.folder_listing import HIDDEN, Listing
from cnnsweep.formatting.escape import safe_text

_MOST_ENDINGS = 8


def describe_folder(listing: Listing, index: Index) -> Iterator[str]:
    """Yield notes on a folder: origin, sizes of its images, and files left out by their ending."""
    yield f"from {safe_text(listing.folder)}"
    yield from listing.notes
    sizes, form = index.sizes, index.form
    target = f"{form.height}×{form.width}"
    if sizes.different > 1:
        smallest, largest = ("×".join(map(str, size)) for size in (sizes.smallest, sizes.largest))
        yield f"{sizes.different:,} sizes from {smallest} to {largest}, cut and resized to {target} (height×width)"
    elif sizes.largest != (form.height, form.width):
        yield f"all of {'×'.join(map(str, sizes.largest))}, cut and resized to {target} (height×width)"
    if form.white != FULL_WHITE:
        yield f"the brightest pixels need {form.white.bit_length()} bits, so {form.white:,} becomes white (255)"
    if index.is_dark:
        yield (
            "nearly black: of the pictures' colours of 16 bits only the upper 8 are read, which are almost unused; "
            "save them with 8 bits, or scaled to all 16"
        )
    endings = sorted(((count, ending) for ending, count in listing.left_out.items() if count), reverse=True)
    if endings:
        shown = ", ".join(f"{count:,} {safe_text(ending)}" for count, ending in endings[:_MOST_ENDINGS])
        more = f" and {sum(count for count, _ in endings[_MOST_ENDINGS:]):,} more" if endings[_MOST_ENDINGS:] else ""
        yield f"{sum(count for count, _ in endings):,} {_entries(listing)} left out: {shown}{more}"


def _entries(listing: Listing) -> str:
    return "files and folders" if listing.left_out.get(HIDDEN) else "files"
