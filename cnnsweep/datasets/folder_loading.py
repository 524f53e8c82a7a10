"""Loading of an image folder: list, decode once, then read from the cache or stream."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cnnsweep.datasets.base import Loading
from cnnsweep.datasets.cache import cache_limit_bytes
from cnnsweep.datasets.dataset import Dataset
from cnnsweep.datasets.decode import Bytes
from cnnsweep.datasets.decoded_cache import CacheEntry, Index, cache_entry, is_settled
from cnnsweep.datasets.fingerprint import PartDigest, digest_images, digest_labels
from cnnsweep.datasets.folder_decoding import (
    decode_folder,
    files_of_parts,
    folder_fingerprint,
    paths_of,
    stored_bytes,
)
from cnnsweep.datasets.folder_labels import list_labelled_images
from cnnsweep.datasets.folder_listing import ImageFile, Listing, find_folder, labels_of, list_images
from cnnsweep.datasets.folder_notes import describe_folder
from cnnsweep.datasets.folder_options import FolderOptions
from cnnsweep.datasets.images import ImageSet, MemoryImages, writable_name
from cnnsweep.datasets.label_kinds import describe_labels
from cnnsweep.datasets.streaming import StreamedImages
from cnnsweep.errors import DataError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.formatting.numbers import count_text

_NAMED = 3  # broken files named in a message
_log = logging.getLogger(__name__)


def load_image_folder(options: FolderOptions, data_root: Path, loading: Loading) -> Dataset:
    """Return the images of a folder.

    The first start decodes every file once and caches the result. Later starts read the cache, as long as every file is
    unchanged. Images that need more than the limit of memory are streamed.

    Raises:
        DataError: the folder, its layout or its images are invalid.
    """
    began_ns = time.time_ns()
    try:
        listing = _listing(options, find_folder(options.path, data_root))
    except OSError as error:
        raise DataError(
            f"{safe_text(error.filename)}: cannot be read ({error.strerror}); repair or remove it"
        ) from error
    cache_limit_bytes()  # raises now, before everything is decoded
    entry = cache_entry(listing, (*(options.size or (None, None)), options.channels))
    index = entry.read_index()
    is_streamed = index is not None and stored_bytes(listing, index.form) > loading.memory_bytes
    arrays = _read_images(entry, listing, index) if index and not is_streamed else []
    if index is None or arrays is None:
        index, arrays = decode_folder(listing, options, loading.memory_bytes, loading.progress)
        _report_broken(listing, index, options)
        if is_settled(listing, began_ns):
            entry.write(index, arrays)
    else:
        _report_broken(listing, index, options)

    train, validation, test = (_good_files(files, index) for files in files_of_parts(listing))
    stored = [train + validation, *([] if listing.test is None else [test])]
    if arrays:
        sets: list[ImageSet] = [_in_memory(files, array) for files, array in zip(stored, arrays, strict=True)]
    else:
        sets = [StreamedImages(paths_of(listing, files), labels_of(files), index.form, files=files) for files in stored]
    classes = tuple(map(writable_name, listing.classes))
    return Dataset(
        "image_folder",
        sets[0],
        sets[1] if len(sets) > 1 else None,
        classes,
        index.fingerprint,
        len(validation),
        index.form.white,
        index.fingerprint_before,
        (*describe_folder(listing, index), *_notes_on_labels(sets[0].labels, classes)),
    )


def _listing(options: FolderOptions, folder: Path) -> Listing:
    if options.labels is None:
        return list_images(folder, options.test)
    return list_labelled_images(folder, options.labels, options.test)


def _read_images(entry: CacheEntry, listing: Listing, index: Index) -> list[Bytes] | None:
    """Return the stored images from the cache, or None if they differ from the index."""
    train, validation, test = (_good_files(files, index) for files in files_of_parts(listing))
    counts = [len(train) + len(validation), *([] if listing.test is None else [len(test)])]
    arrays = entry.read_images(index.form, counts)
    if arrays is None:
        return None
    in_parts = (arrays[0][: len(train)], arrays[0][len(train) :], arrays[-1][: len(test)])
    digests = [
        PartDigest((len(files), *index.form.shape), digest_labels(labels_of(files)), digest_images(images))
        for files, images in zip((train, validation, test), in_parts, strict=True)
    ]
    return arrays if folder_fingerprint(digests, listing) == index.fingerprint else None


def _report_broken(listing: Listing, index: Index, options: FolderOptions) -> None:
    """Raise for broken images, or warn that they are skipped."""
    if not index.broken:
        return
    named = "; ".join(
        f"{safe_text(listing.folder / path)} ({safe_text(reason)})" for path, reason in [*index.broken.items()][:_NAMED]
    )
    more = f"; and {len(index.broken) - _NAMED} more" if len(index.broken) > _NAMED else ""
    count = f"{len(index.broken)} of {count_text(len(listing.files), 'image')} cannot be read: {named}{more}"
    if options.broken != "skip":
        raise DataError(f"{count}. Replace or remove them, or write `broken: skip` to leave them out")
    for files in files_of_parts(listing):
        if missing := _labels_in(files) - _labels_in(_good_files(files, index)):
            names = ", ".join(safe_text(listing.classes[label]) for label in sorted(missing))
            raise DataError(f"{count}. Without them these classes have no images: {names}")
    _log.warning("%s. They are skipped.", count)


def _labels_in(files: Sequence[ImageFile]) -> set[int]:
    """Return the numbers of the classes that occur."""
    labels = {file.label for file in files}
    several = {number for label in labels if isinstance(label, tuple) for number, has in enumerate(label) if has}
    return several | {label for label in labels if isinstance(label, int)}


def _good_files(files: Sequence[ImageFile], index: Index) -> list[ImageFile]:
    """Return the files without the broken ones."""
    return [file for file in files if file.path not in index.broken]


def _notes_on_labels(labels: Tensor, classes: Sequence[str]) -> tuple[str, ...]:
    return describe_labels(labels, classes) if labels.ndim > 1 else ()


def _in_memory(files: Sequence[ImageFile], array: Bytes) -> MemoryImages:
    return MemoryImages(torch.from_numpy(array), labels_of(files), [file.path for file in files])
