"""Cache of decoded images: its folder, size limit, entries, and removal of the least recently used.

Every data set has two files, named by a key: an index (JSON) and, if they fit in memory, its images. Other files in
the folder are never touched.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cnnsweep.errors import UsageError
from cnnsweep.formatting.escape import safe_text

_FOLDER_VARIABLE, _LIMIT_VARIABLE = "CNNSWEEP_CACHE", "CNNSWEEP_CACHE_GB"
_DEFAULT_GB = 20.0
_ENTRY_FILE = re.compile(r"([0-9a-f]{32})\.(?:json|images)")
_LEFTOVER_FILE = re.compile(r"\.[0-9a-f]{32}\.(?:json|images)\.\d+\.tmp")
_ABANDONED_S = 3600.0  # age of a half-written file that counts as left by a killed process


@dataclass(frozen=True, slots=True)
class CachedImages:
    """The decoded images of one data set: key, size on disk and last use."""

    key: str
    size_bytes: int
    last_used: float  # seconds since the epoch


def cache_folder() -> Path:
    """Return the folder of decoded images: CNNSWEEP_CACHE, or `cnnsweep` in the platform's folder for caches."""
    if chosen := os.environ.get(_FOLDER_VARIABLE):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path  # imported only if the variable is missing

    # Without an author and `Cache` in the path, as Windows would have: the folder of earlier versions.
    return user_cache_path("cnnsweep", appauthor=False, opinion=False)


def cache_limit_bytes() -> float:
    """Return the size limit: CNNSWEEP_CACHE_GB in gigabytes, or 20; 0 keeps nothing, inf everything.

    Raises:
        UsageError: the value is not such a number.
    """
    text = os.environ.get(_LIMIT_VARIABLE) or str(_DEFAULT_GB)
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not limit >= 0:
        raise UsageError(
            f"{_LIMIT_VARIABLE}: found '{safe_text(text)}', allowed is a number of gigabytes from 0 to inf"
        )
    return limit * 1e9


def cache_entries() -> list[CachedImages]:
    """Return the entries, the least recently used first; none without a cache."""
    sizes: dict[str, int] = {}
    used: dict[str, float] = {}
    for path, key in _entry_files():
        with suppress(OSError):  # removed by another process meanwhile
            status = path.stat()
            sizes[key] = sizes.get(key, 0) + status.st_size
            used[key] = max(used.get(key, 0.0), status.st_mtime)
    return sorted((CachedImages(key, sizes[key], used[key]) for key in sizes), key=lambda entry: entry.last_used)


def remove_cache_entries(keys: Collection[str]) -> int:
    """Remove entries and half-written files of killed processes; return the number of bytes freed.

    A sweep that has read its images is unaffected: they are in its memory.

    Raises:
        OSError: a file cannot be removed.
    """
    freed = 0
    for path, key in _entry_files():
        if key in keys:
            freed += _remove(path)
    now = time.time()
    for path in _files():
        with suppress(FileNotFoundError):
            if _LEFTOVER_FILE.fullmatch(path.name) and now - path.stat().st_mtime > _ABANDONED_S:
                freed += _remove(path)
    return freed


def make_room(needed_bytes: int, key: str) -> bool:
    """Remove the least recently used entries until an entry of this size fits; return False if it never will.

    Args:
        key: the key of the new entry, which replaces an entry with this key.

    Raises:
        OSError: a file cannot be removed.
        UsageError: the limit is not a number.
    """
    limit = cache_limit_bytes()
    if needed_bytes > limit:
        return False
    others = [entry for entry in cache_entries() if entry.key != key]
    excess = sum(entry.size_bytes for entry in others) + needed_bytes - limit
    removed = []
    for entry in others:
        if excess <= 0:
            break
        removed.append(entry.key)
        excess -= entry.size_bytes
    remove_cache_entries(removed)
    return True


def cache_problem() -> str | None:
    """Return the reason why the cache cannot be written, or None; creates its folder if necessary."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"{safe_text(folder)}: cannot be written ({error.strerror}); set {_FOLDER_VARIABLE} to another folder"


def _files() -> Iterator[Path]:
    try:
        yield from cache_folder().iterdir()
    except (FileNotFoundError, NotADirectoryError):
        return


def _entry_files() -> Iterator[tuple[Path, str]]:
    for path in _files():
        if match := _ENTRY_FILE.fullmatch(path.name):
            yield path, match[1]


def _remove(path: Path) -> int:
    try:
        size = path.lstat().st_size
        path.unlink()
    except FileNotFoundError:  # another process was faster
        return 0
    return size
