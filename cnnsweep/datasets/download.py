"""Downloads of files with a known checksum: complete or absent, never with less protection than the address has."""

from __future__ import annotations

import glob
import gzip
import hashlib
import http.client
import lzma
import shutil
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from typing import IO

from filelock import Timeout

from cnnsweep.datasets.checksums import RECORD_NAME, note_checksum
from cnnsweep.errors import DataError, FolderError
from cnnsweep.storage.atomic_files import OutputFile, replace_file_by
from cnnsweep.storage.lock import lock_of

Progress = Callable[[str, int, int], None]

_TIMEOUT_S = 20.0  # limit of a wait for a byte
_WAITING_INTERVAL_S = 1.0  # between two reports of progress
_PIECE_BYTES = 1 << 18
_MOST_BYTES = 4 << 30  # bytes of one file, packed or unpacked: several times the largest known one
_PREFIX = ".cnnsweep-download"


@dataclass(frozen=True, slots=True)
class DownloadFile:
    """A file in the network and its contents.

    Attributes:
        urls: addresses of the same file, tried in order.
        contents: the member of the archive, by path below the data root; empty for a single file.
        is_noted: record the SHA-256 of unpacked files beside them, because none is published.
    """

    urls: tuple[str, ...]
    md5: str
    contents: Mapping[str, str]
    is_noted: bool = False


def fetch_missing(download_files: Iterable[DownloadFile], data_root: Path, progress: Progress) -> None:
    """Download the files missing below the data root; a rename puts each there once it is complete.

    One process downloads at a time; others wait, then find the files. The operating system releases the lock at any end
    of the process, and the next process removes the leftovers of a killed one.

    Raises:
        DataError: no address could be reached, the checksum differs, or the files cannot be written.
    """
    try:
        data_root.mkdir(parents=True, exist_ok=True)
        with _only_downloader(data_root, progress):
            for download_file in download_files:
                wanted = {
                    target: member
                    for target, member in download_file.contents.items()
                    if _is_missing(data_root, target)
                }
                if wanted:
                    _remove_leftovers(data_root, wanted)
                    _fetch(download_file, wanted, data_root, progress)
    except FolderError as error:
        cause = error.__cause__ or error
        raise DataError(f"{data_root}: cannot be written ({cause}); choose another --data-root") from error
    except OSError as error:
        raise DataError(f"{data_root}: {error.strerror or error}; choose another --data-root") from error


def _is_missing(data_root: Path, target: str) -> bool:
    return not (data_root / target).is_file()


@contextmanager
def _only_downloader(data_root: Path, progress: Progress) -> Iterator[None]:
    lock = lock_of(data_root / f"{_PREFIX}.lock")
    waiting = "waiting for the download of another process"
    has_waited = False
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_WAITING_INTERVAL_S)
        except Timeout:
            progress(waiting, 0, 1)
            has_waited = True
    if has_waited:
        progress(waiting, 1, 1)
    try:
        yield
    finally:
        lock.release()


def _remove_leftovers(data_root: Path, wanted: Iterable[str]) -> None:
    """Remove leftovers of killed downloads; only under the lock, which excludes their use by another process."""
    for folder in data_root.glob(f"{_PREFIX}-*"):
        shutil.rmtree(folder, ignore_errors=True)
    for target in map(data_root.joinpath, wanted):
        for name in (target.name, RECORD_NAME):
            for leftover in target.parent.glob(f".{glob.escape(name)}.*.tmp"):
                leftover.unlink(missing_ok=True)


def _fetch(download_file: DownloadFile, wanted: Mapping[str, str], data_root: Path, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}-", dir=data_root) as folder:
        archive = Path(folder) / download_file.urls[0].rpartition("/")[2]
        _download(download_file, archive, progress)
        for target, member in wanted.items():
            path = data_root / target
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file_by(path, partial(_unpack, archive, member, path if download_file.is_noted else None))


def _download(download_file: DownloadFile, file: Path, progress: Progress) -> None:
    # If one address is protected by TLS, unprotected ones are no fallback.
    protected = [url for url in download_file.urls if not url.startswith("http:")]
    failures = []
    for url in protected or download_file.urls:
        try:
            found = _save(url, file, progress)
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{url}: {getattr(error, 'reason', None) or error}")
            continue
        if found == download_file.md5:
            return
        failures.append(f"{url}: interrupted or damaged: the MD5 is {found}, expected {download_file.md5}")
    raise DataError("; ".join(failures))


def _save(url: str, file: Path, progress: Progress) -> str:
    """Save the content of an address, and return its MD5."""
    checksum = hashlib.md5(usedforsecurity=False)
    request = urllib.request.Request(url, headers={"User-Agent": "cnnsweep"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response, file.open("wb") as output:
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise OSError(f"redirects to {response.url}, which is not protected by TLS")
        total, done = int(response.headers.get("Content-Length") or 0), 0
        while piece := response.read(_PIECE_BYTES):
            done += len(piece)
            if done > _MOST_BYTES:
                raise OSError(f"sends more than {_MOST_BYTES:,} bytes, more than any data set has")
            output.write(piece)
            checksum.update(piece)
            progress(f"downloading {file.name}", done, max(done, total))
    return checksum.hexdigest()


def _unpack(archive: Path, member: str, noted: Path | None, output: OutputFile) -> None:
    """Write the content of an archive; record its checksum before the rename, so that no file lacks one."""
    checksum = hashlib.sha256()
    done = 0
    with _opened(archive, member) as source:
        while piece := source.read(_PIECE_BYTES):
            done += len(piece)
            if done > _MOST_BYTES:
                raise DataError(f"{archive.name}: holds more than {_MOST_BYTES:,} bytes, more than any data set has")
            output.write(piece)
            checksum.update(piece)
    if noted is not None:
        note_checksum(noted, checksum.hexdigest())


@contextmanager
def _opened(archive: Path, member: str) -> Iterator[IO[bytes] | BufferedIOBase]:
    """Open the unpacked content of an archive, or of one member of it."""
    if archive.name.endswith(".tar.gz"):
        with tarfile.open(archive) as tar, _present(tar.extractfile(member)) as file:
            yield file
    elif archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as bundle, bundle.open(member) as packed, gzip.open(packed) as file:
            yield file
    elif archive.suffix in (".gz", ".xz"):
        with (gzip.open if archive.suffix == ".gz" else lzma.open)(archive) as file:
            yield file
    else:
        with archive.open("rb") as file:
            yield file


def _present(file: IO[bytes] | None) -> IO[bytes]:
    assert file is not None  # the checksum was right, so the member exists and is a file
    return file
