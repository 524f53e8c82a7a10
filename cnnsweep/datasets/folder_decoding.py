"""Decoding of a folder's images: once each, to one common form, with the facts for the index."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnnsweep.datasets.decode import Bytes, Form, ImageInfo, decode_all, look_at_all, thread_count, white_of
from cnnsweep.datasets.decoded_cache import Index, Sizes
from cnnsweep.datasets.fingerprint import PartDigest, digest_labels, fingerprint
from cnnsweep.datasets.folder_listing import ImageFile, Listing, labels_of
from cnnsweep.datasets.folder_options import FolderOptions
from cnnsweep.errors import DataError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text

Progress = Callable[[str, int, int], None]

_SAMPLE = 200  # headers
_MOST_IMAGE_BYTES = 64 << 20  # bytes of one image in the training form; every decoding thread holds some
_DARK_BITS = 6  # of 8 bits, the limit of pictures of 16 bits from a sensor of at most 14


def decode_folder(
    listing: Listing, options: FolderOptions, memory_bytes: int, progress: Progress
) -> tuple[Index, list[Bytes]]:
    """Decode every file once; return the index, and the good images as stored unless they are streamed."""
    form = _guess_form(listing, options, progress)
    while True:
        is_kept = stored_bytes(listing, form) <= memory_bytes
        arrays, parts = _decode_parts(listing, form, is_kept, progress)
        looks = [look for part in parts for look in part.looks if look]
        seen = _form_of(looks, options, listing)
        if seen == form:
            break
        del arrays, parts  # freed before the same memory is allocated again
        form = seen  # rare: the sample of files was not representative
    broken = {path: reason for part in parts for path, reason in part.broken.items()}
    digests = [part.digest for part in parts]
    before = None if listing.validation is None else _fingerprint_before(digests, listing)
    is_dark = any(look.is_cut for look in looks) and all(part.highest >> _DARK_BITS == 0 for part in parts)
    return Index(form, broken, folder_fingerprint(digests, listing), Sizes.of(looks), before, is_dark), arrays


@dataclass(frozen=True, slots=True)
class _DecodedPart:
    count: int  # number of good images
    digest: PartDigest
    looks: list[ImageInfo | None]
    broken: dict[str, str]  # reason by path
    highest: int  # sum over all pixels in the training form


def _decode_parts(
    listing: Listing, form: Form, is_kept: bool, progress: Progress
) -> tuple[list[Bytes], list[_DecodedPart]]:
    """Decode the training, validation and test part; the first two are consecutive in one array."""
    train, validation, test = files_of_parts(listing)
    room = [len(train) + len(validation), *([] if listing.test is None else [len(test)])]
    arrays = [np.empty((count if is_kept else 0, *form.shape), np.uint8) for count in room]
    parts = [_decode_part(listing, train, form, arrays[0], progress)]
    parts.append(_decode_part(listing, validation, form, arrays[0][parts[0].count :], progress))
    parts.append(_decode_part(listing, test, form, arrays[-1], progress))
    counts = [parts[0].count + parts[1].count, parts[2].count]
    return [array[:count] for array, count in zip(arrays, counts, strict=False)] if is_kept else [], parts


def _decode_part(
    listing: Listing, files: Sequence[ImageFile], form: Form, into: Bytes, progress: Progress
) -> _DecodedPart:
    """Decode files into the beginning of an array; an empty array means that they are streamed."""
    good: list[ImageFile] = []
    looks: list[ImageInfo | None] = []
    broken: dict[str, str] = {}
    highest = 0
    checksum = hashlib.sha256()
    for block in decode_all(paths_of(listing, files), form, _threads(files)) if files else ():
        own = files[len(looks) : len(looks) + len(block.images)]
        whole = [place for place in range(len(own)) if place not in block.broken]
        pixels = block.images[whole] if block.broken else block.images
        checksum.update(pixels.data)
        highest = max(highest, int(pixels.max(initial=0)))
        if len(into):
            into[len(good) : len(good) + len(whole)] = pixels
        good += [own[place] for place in whole]
        looks += block.looks
        broken |= {own[place].path: reason for place, reason in block.broken.items()}
        progress("decoding images", len(looks), len(files))
    digest = PartDigest((len(good), *form.shape), digest_labels(labels_of(good)), checksum.hexdigest())
    return _DecodedPart(len(good), digest, looks, broken, highest)


def _guess_form(listing: Listing, options: FolderOptions, progress: Progress) -> Form:
    """Return the form to decode to; reads every header only if a sample of them varies."""
    if options.size and options.channels:
        return _of_bounded_size(Form(*options.size, options.channels), listing)
    paths, threads = paths_of(listing, listing.files), _threads(listing.files)
    sample = [look for look in look_at_all(paths[:: max(1, len(paths) // _SAMPLE)], threads) if look]
    if options.size or len({(look.height, look.width) for look in sample}) == 1:
        return _form_of(sample, options, listing)
    looks = []
    for done, look in enumerate(look_at_all(paths, threads), 1):
        looks.append(look)
        if done % 512 == 0 or done == len(paths):
            progress("reading image sizes", done, len(paths))
    return _form_of([look for look in looks if look], options, listing)


def _form_of(looks: Sequence[ImageInfo], options: FolderOptions, listing: Listing) -> Form:
    """Return the form of the options; by default the most common size and the fewest channels."""
    if not looks:
        first = safe_text(listing.folder / listing.files[0].path)
        raise DataError(
            f"{safe_text(listing.folder)}: none of its {count_text(len(listing.files), 'file')} is an image, such as "
            f"{first}"
        )
    sizes = Counter((look.height, look.width) for look in looks)
    # The smallest of equally common sizes, so that the order of the files has no influence.
    height, width = options.size or min(sizes, key=lambda size: (-sizes[size], size))
    channels = options.channels or (1 if all(look.is_grey for look in looks) else 3)
    return _of_bounded_size(Form(height, width, channels, white_of(looks)), listing)


def _of_bounded_size(form: Form, listing: Listing) -> Form:
    if form.image_bytes > _MOST_IMAGE_BYTES:
        raise DataError(
            f"{safe_text(listing.folder)}: images of {form.height:,}×{form.width:,} with "
            f"{count_text(form.channels, 'channel')} take {form.image_bytes:,} bytes each; allowed are "
            f"{_MOST_IMAGE_BYTES:,}: give a smaller `size`"
        )
    return form


def files_of_parts(listing: Listing) -> tuple[tuple[ImageFile, ...], ...]:
    """Return the files of the training, validation and test part; a missing part is empty."""
    return listing.train, listing.validation or (), listing.test or ()


def folder_fingerprint(digests: Sequence[PartDigest], listing: Listing) -> str:
    """Return the fingerprint of all parts.

    Args:
        digests: of training, validation and test part, including missing ones.
    """
    train, validation, test = digests
    own = [] if listing.validation is None else [validation]
    return fingerprint([train, None if listing.test is None else test, *own], listing.classes)


def _fingerprint_before(digests: Sequence[PartDigest], listing: Listing) -> str:
    """Return the fingerprint of earlier versions, which used a validation part for testing, or ignored it."""
    train, validation, test = digests
    return fingerprint([train, validation if listing.test is None else test], listing.classes)


def paths_of(listing: Listing, files: Sequence[ImageFile]) -> list[Path]:
    """Return the paths of the files."""
    return [listing.folder / file.path for file in files]


def stored_bytes(listing: Listing, form: Form) -> int:
    """Return the number of bytes of all images in this form."""
    return len(listing.files) * form.image_bytes


def _threads(files: Sequence[ImageFile]) -> int:
    return thread_count(sum(file.size for file in files), len(files))
