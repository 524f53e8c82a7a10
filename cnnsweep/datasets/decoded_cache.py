"""Decoded images on disk, so that a second start does not decode again.

A data set has two files, both named by the hash of their source: an index (JSON), and the raw images if they fit in
memory. Damaged entries are ignored. Failing to write the cache only costs time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from cnnsweep.datasets.cache import cache_folder, cache_limit_bytes, make_room
from cnnsweep.datasets.decode import Bytes, Form, ImageInfo
from cnnsweep.datasets.folder_listing import Listing
from cnnsweep.errors import FolderError
from cnnsweep.formatting.escape import safe_text
from cnnsweep.storage.atomic_files import OutputFile, replace_file, replace_file_by

_VERSION = 3  # version of the files and of the decoding
_PIECE_BYTES = 1 << 20
_SETTLED_NS = 2_000_000_000  # file systems with coarser clocks are rare
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes (height, width) of the files of a folder: number of different ones, smallest and largest by area."""

    different: int
    smallest: tuple[int, int]
    largest: tuple[int, int]

    @classmethod
    def of(cls, looks: Iterable[ImageInfo]) -> Sizes:
        """Return the sizes from one header or more."""
        sizes = sorted({(look.height, look.width) for look in looks}, key=lambda size: (size[0] * size[1], size))
        return cls(len(sizes), sizes[0], sizes[-1])


@dataclass(frozen=True, slots=True)
class Index:
    """Results of decoding a folder.

    Attributes:
        broken: files that cannot be read, path and reason.
        fingerprint: the fingerprint of the readable files.
        fingerprint_before: fingerprint of earlier versions, which ignored a validation part; None
            for other folders.
        is_dark: its pictures are nearly black, and some have colours of 16 bits, of which Pillow keeps the upper 8.
    """

    form: Form
    broken: dict[str, str]
    fingerprint: str
    sizes: Sizes
    fingerprint_before: str | None = None
    is_dark: bool = False

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Index:
        """Return the index from its `asdict` mapping."""
        sizes = body["sizes"]
        read = Sizes(sizes["different"], tuple(sizes["smallest"]), tuple(sizes["largest"]))
        return cls(**{**body, "form": Form(**body["form"]), "sizes": read})


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """Files of one data set in the cache."""

    folder: Path
    key: str

    @property
    def _index_file(self) -> Path:
        return self.folder / f"{self.key}.json"

    @property
    def _images_file(self) -> Path:
        return self.folder / f"{self.key}.images"

    def read_index(self) -> Index | None:
        """Return the index, or None if it is missing or damaged; reading counts as a use."""
        try:
            wrapped = json.loads(self._index_file.read_bytes())
            body = json.loads(wrapped["body"])
            if wrapped["sha256"] != _sha256(wrapped["body"].encode()):
                return None
            index = Index.of(body)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        with suppress(OSError):  # a read-only cache is useful too
            os.utime(self._index_file)
        return index

    def write(self, index: Index, parts: Sequence[Bytes]) -> None:
        """Write the images of the parts, one after the other, then the index, which makes them valid."""
        body = json.dumps(asdict(index))
        wrapped = json.dumps({"sha256": _sha256(body.encode()), "body": body})
        needed = sum(part.nbytes for part in parts) + len(wrapped)
        try:
            if not make_room(needed, self.key):
                _log.warning(
                    "decoded images are not cached: they take %.1f GB, and the cache holds at most "
                    "%.1f GB (CNNSWEEP_CACHE_GB)", needed / 1e9, cache_limit_bytes() / 1e9
                )  # fmt: skip
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            if parts:
                replace_file_by(self._images_file, lambda file: _write_all(parts, file))
            replace_file(self._index_file, wrapped)
        except (OSError, FolderError) as error:
            _log.warning("decoded images are not cached: %s", safe_text(error))

    def read_images(self, form: Form, counts: Sequence[int]) -> list[Bytes] | None:
        """Return the images of each part (N, C, H, W), or None if they are absent or of another length."""
        try:
            with self._images_file.open("rb") as file:
                if os.fstat(file.fileno()).st_size != sum(counts) * form.image_bytes:
                    return None
                return [
                    np.fromfile(file, np.uint8, count * form.image_bytes).reshape(count, *form.shape)
                    for count in counts
                ]
        except (OSError, ValueError):  # shortened meanwhile
            return None


def cache_entry(listing: Listing, asked_form: Sequence[int | None]) -> CacheEntry:
    """Return the entry for these files in this form.

    The key has paths and data that only the system sets, see `ImageFile`: changed content always changes it.
    """
    made_from = [_VERSION, PIL.__version__, list(asked_form), listing.classes, listing.train, listing.test]
    made_from.append(listing.validation)
    return CacheEntry(cache_folder(), _sha256(json.dumps(made_from).encode())[:32])


def is_settled(listing: Listing, began_ns: int) -> bool:
    """True if no file was changed within two seconds before the listing; otherwise a further change could be missed.

    Args:
        began_ns: start of the listing, nanoseconds since the epoch.
    """
    return all(file.changed_ns < began_ns - _SETTLED_NS for file in listing.files)


def _write_all(parts: Sequence[Bytes], file: OutputFile) -> None:
    for part in parts:
        content = part.reshape(-1)
        for start in range(0, content.size, _PIECE_BYTES):  # avoids a second copy in memory
            file.write(content[start : start + _PIECE_BYTES].data)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
