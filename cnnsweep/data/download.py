"""Fetching files whose checksum is known: whole or not at all, and never with less protection than was asked for."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import lzma
import shutil
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from typing import IO

from cnnsweep.errors import DataError, FolderError
from cnnsweep.recording.files import replace_file_by

Progress = Callable[[str, int, int], None]

_TIMEOUT_S = 20.0  # without a byte
_PIECE_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file in the network and what it holds.

    Attributes:
        urls: places that hold the same file, tried in order.
        contents: by path below the data root, the member of the archive; empty for a parcel that is one file.
    """

    urls: tuple[str, ...]
    md5: str
    contents: Mapping[str, str]


def fetch(parcel: Parcel, data_root: Path, progress: Progress) -> None:
    """Download the parcel and put its contents below the data root, each by a rename once it is whole.

    Raises:
        DataError: no place could be reached, the checksum differs, or the files cannot be written.
    """
    try:
        data_root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".cnnsweep-download-", dir=data_root) as folder:
            archive = Path(folder) / parcel.urls[0].rpartition("/")[2]
            _download(parcel, archive, progress)
            for target, member in parcel.contents.items():
                (data_root / target).parent.mkdir(parents=True, exist_ok=True)
                with _opened(archive, member) as source:
                    replace_file_by(data_root / target, partial(shutil.copyfileobj, source))
    except FolderError as error:
        raise DataError(f"{data_root}: cannot be written ({error.__cause__}); choose another --data-root") from error
    except OSError as error:
        raise DataError(f"{data_root}: {error.strerror or error}; choose another --data-root") from error


def _download(parcel: Parcel, file: Path, progress: Progress) -> None:
    # Where one place is protected by TLS, those that are not are no second choice.
    protected = [url for url in parcel.urls if not url.startswith("http:")]
    failures = []
    for url in protected or parcel.urls:
        try:
            found = _save(url, file, progress)
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{url}: {getattr(error, 'reason', None) or error}")
            continue
        if found == parcel.md5:
            return
        failures.append(f"{url}: interrupted or damaged: the MD5 is {found}, expected {parcel.md5}")
    raise DataError("; ".join(failures))


def _save(url: str, file: Path, progress: Progress) -> str:
    """Save what the address holds, and return its MD5."""
    checksum = hashlib.md5(usedforsecurity=False)
    request = urllib.request.Request(url, headers={"User-Agent": "cnnsweep"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response, file.open("wb") as output:
        if url.startswith("https:") and not response.url.startswith("https:"):
            raise OSError(f"leads to {response.url}, which is not protected")
        total, done = int(response.headers.get("Content-Length") or 0), 0
        while piece := response.read(_PIECE_BYTES):
            output.write(piece)
            checksum.update(piece)
            done += len(piece)
            progress(f"downloading {file.name}", done, max(done, total))
    return checksum.hexdigest()


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
    assert file is not None  # the checksum was right, so the member is there and is a file
    return file
