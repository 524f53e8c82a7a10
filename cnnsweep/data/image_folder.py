"""`image_folder`: a person's own images, one folder a class, any size and mode."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cnnsweep.data.cache import cache_limit_bytes
from cnnsweep.data.decode import Bytes, Form, Look, decode_all, look_at_all, thread_count
from cnnsweep.data.decoded import CacheEntry, Index, cache_entry
from cnnsweep.data.fingerprint import PartDigest, digest_labels, digest_part, fingerprint
from cnnsweep.data.folder_options import FolderOptions
from cnnsweep.data.folders import ImageFile, Listing, find_folder, labels_of, list_images
from cnnsweep.data.images import ImageSet, MemoryImages
from cnnsweep.data.streamed import StreamedImages
from cnnsweep.display.figures import count_text
from cnnsweep.display.safe_text import safe_text
from cnnsweep.errors import DataError

Progress = Callable[[str, int, int], None]

_NAMED = 3  # broken files named in a message
_SAMPLE = 200  # headers
_MOST_IMAGE_BYTES = 64 << 20  # of one image as it is trained on; some are held for every thread that decodes
_log = logging.getLogger(__name__)


def load_image_folder(
    options: FolderOptions, data_root: Path, memory_bytes: int, progress: Progress
) -> tuple[ImageSet, ImageSet | None, tuple[str, ...], str]:
    """Return training part, test part, class names and fingerprint.

    The first start decodes every file once and keeps the outcome in the cache; later ones read it from there, as long
    as no file's name, size or time of change differs. Images that need more than `memory_bytes` are streamed.

    Raises:
        DataError: the folder, its layout or its images are not what they should be.
    """
    try:
        listing = list_images(find_folder(options.path, data_root), options.test)
    except OSError as error:
        raise DataError(f"{safe_text(error.filename)}: cannot be read ({error.strerror}); mend or remove it") from error
    cache_limit_bytes()  # a mistake in it is told now, not after everything is decoded
    entry = cache_entry(listing, (*(options.size or (None, None)), options.channels))
    index = entry.read_index()
    is_streamed = index is not None and _bytes(listing, index.form) > memory_bytes
    arrays = _read_images(entry, listing, index) if index and not is_streamed else []
    if index is None or arrays is None:
        index, arrays = _decode(listing, options, memory_bytes, progress)
        _report_broken(listing, index, options)
        entry.write(index, arrays)
    else:
        _report_broken(listing, index, options)

    parts = _good_files(listing, index)
    if arrays:
        sets: list[ImageSet] = [_in_memory(files, array) for files, array in zip(parts, arrays, strict=True)]
    else:
        sets = [StreamedImages(_paths(listing, files), labels_of(files), index.form) for files in parts]
    return sets[0], sets[1] if len(sets) > 1 else None, _writable_names(listing.classes), index.fingerprint


def _writable_names(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the names with bytes that are no UTF-8 as escapes, since result files hold UTF-8."""
    return tuple(name.encode("utf-8", "backslashreplace").decode() for name in classes)


def _decode(
    listing: Listing, options: FolderOptions, memory_bytes: int, progress: Progress
) -> tuple[Index, list[Bytes]]:
    """Decode every file once; return what that told, and each part's good images unless they are to be streamed."""
    form = _guess_form(listing, options, progress)
    while True:
        is_kept = _bytes(listing, form) <= memory_bytes
        parts = [_decode_part(listing, files, form, is_kept, progress) for files in _parts(listing)]
        seen = _form_of([look for part in parts for look in part.looks if look], options, listing)
        if seen == form:
            break
        del parts  # before as much memory is taken again
        form = seen  # rare: what a sample of the files showed is not what most of them are
    broken = {path: reason for part in parts for path, reason in part.broken.items()}
    index = Index(form, broken, _fingerprint([part.digest for part in parts], listing))
    return index, [part.images for part in parts] if is_kept else []


@dataclass(frozen=True, slots=True)
class _DecodedPart:
    images: Bytes  # (n, C, H, W), those that could be read; none if they are to be streamed
    digest: PartDigest
    looks: list[Look | None]
    broken: dict[str, str]  # reason by path


def _decode_part(
    listing: Listing, files: Sequence[ImageFile], form: Form, is_kept: bool, progress: Progress
) -> _DecodedPart:
    images = np.empty((len(files) if is_kept else 0, *form.shape), np.uint8)
    good: list[ImageFile] = []
    looks: list[Look | None] = []
    broken: dict[str, str] = {}
    checksum = hashlib.sha256()
    for block in decode_all(_paths(listing, files), form, _threads(files)):
        own = files[len(looks) : len(looks) + len(block.images)]
        whole = [place for place in range(len(own)) if place not in block.broken]
        pixels = block.images[whole] if block.broken else block.images
        checksum.update(pixels.data)
        if is_kept:
            images[len(good) : len(good) + len(whole)] = pixels
        good += [own[place] for place in whole]
        looks += block.looks
        broken |= {own[place].path: reason for place, reason in block.broken.items()}
        progress("decoding images", len(looks), len(files))
    digest = PartDigest((len(good), *form.shape), digest_labels(labels_of(good)), checksum.hexdigest())
    return _DecodedPart(images[: len(good)], digest, looks, broken)


def _guess_form(listing: Listing, options: FolderOptions, progress: Progress) -> Form:
    """Return the form to decode to, without looking at every header where a sample of them is alike."""
    if options.size and options.channels:
        return _of_bounded_size(Form(*options.size, options.channels), listing)
    paths, threads = _paths(listing, listing.files), _threads(listing.files)
    sample = [look for look in look_at_all(paths[:: max(1, len(paths) // _SAMPLE)], threads) if look]
    if options.size or len({(look.height, look.width) for look in sample}) == 1:
        return _form_of(sample, options, listing)
    looks = []
    for done, look in enumerate(look_at_all(paths, threads), 1):
        looks.append(look)
        if done % 512 == 0 or done == len(paths):
            progress("looking at image sizes", done, len(paths))
    return _form_of([look for look in looks if look], options, listing)


def _form_of(looks: Sequence[Look], options: FolderOptions, listing: Listing) -> Form:
    """Return what the options say, and where they say nothing the most common size and the fewest channels."""
    if not looks:
        first = safe_text(listing.folder / listing.files[0].path)
        raise DataError(
            f"{safe_text(listing.folder)}: none of its {count_text(len(listing.files), 'file')} is an image, such as "
            f"{first}"
        )
    sizes = Counter((look.height, look.width) for look in looks)
    # Of equally common sizes the smallest, so that the order of the files does not matter.
    height, width = options.size or min(sizes, key=lambda size: (-sizes[size], size))
    channels = options.channels or (1 if all(look.is_grey for look in looks) else 3)
    return _of_bounded_size(Form(height, width, channels), listing)


def _of_bounded_size(form: Form, listing: Listing) -> Form:
    if form.image_bytes > _MOST_IMAGE_BYTES:
        raise DataError(
            f"{safe_text(listing.folder)}: images of {form.height:,}×{form.width:,} with "
            f"{count_text(form.channels, 'channel')} take {form.image_bytes:,} bytes each; allowed are "
            f"{_MOST_IMAGE_BYTES:,}: give a smaller `size`"
        )
    return form


def _read_images(entry: CacheEntry, listing: Listing, index: Index) -> list[Bytes] | None:
    """Return the images of each part from the cache, or None where they are not what the index vouches for."""
    parts = _good_files(listing, index)
    arrays = entry.read_images(index.form, [len(files) for files in parts])
    if arrays is None:
        return None
    digests = [digest_part(_in_memory(files, array)) for files, array in zip(parts, arrays, strict=True)]
    return arrays if _fingerprint(digests, listing) == index.fingerprint else None


def _report_broken(listing: Listing, index: Index, options: FolderOptions) -> None:
    """Stop at broken images, or say that they are skipped."""
    if not index.broken:
        return
    named = "; ".join(
        f"{safe_text(listing.folder / path)} ({safe_text(reason)})" for path, reason in [*index.broken.items()][:_NAMED]
    )
    more = f"; and {len(index.broken) - _NAMED} more" if len(index.broken) > _NAMED else ""
    count = f"{len(index.broken)} of {count_text(len(listing.files), 'image')} cannot be read: {named}{more}"
    if options.broken != "skip":
        raise DataError(f"{count}. Replace or remove them, or write `broken: skip` to go on without them")
    for files in _good_files(listing, index):
        if missing := set(range(len(listing.classes))) - {file.label for file in files}:
            names = ", ".join(safe_text(listing.classes[label]) for label in sorted(missing))
            raise DataError(f"{count}. Without them no images are left of: {names}")
    _log.warning("%s. They are skipped.", count)


def _parts(listing: Listing) -> list[tuple[ImageFile, ...]]:
    return [listing.train] if listing.test is None else [listing.train, listing.test]


def _good_files(listing: Listing, index: Index) -> list[list[ImageFile]]:
    """Return the files of each part without the broken ones."""
    return [[file for file in files if file.path not in index.broken] for files in _parts(listing)]


def _in_memory(files: Sequence[ImageFile], array: Bytes) -> MemoryImages:
    return MemoryImages(torch.from_numpy(array), labels_of(files))


def _fingerprint(digests: Sequence[PartDigest], listing: Listing) -> str:
    return fingerprint([*digests, None][:2], listing.classes)


def _paths(listing: Listing, files: Sequence[ImageFile]) -> list[Path]:
    return [listing.folder / file.path for file in files]


def _bytes(listing: Listing, form: Form) -> int:
    return len(listing.files) * form.image_bytes


def _threads(files: Sequence[ImageFile]) -> int:
    return thread_count(sum(file.size for file in files), len(files))
