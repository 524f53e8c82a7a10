"""Checksums of data files, as published, or as recorded by the download.

For files that the user supplied and no catalogue lists, only the structure is checked: length, header and range of
labels. A changed pixel in such a file cannot be detected.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cnnsweep.datasets.torchvision_info import TorchvisionContent
from cnnsweep.errors import DataError
from cnnsweep.storage.atomic_files import replace_file

RECORD_NAME = ".cnnsweep-sha256.json"


@dataclass(frozen=True, slots=True)
class Checksum:
    """The required SHA-256 of a file, and its source."""

    sha256: str
    source: str


def expected_checksum(path: Path, content: TorchvisionContent | None) -> Checksum | None:
    """Return the checksum of a file, or None if it is unknown.

    A file whose length differs from the published one is treated as another data set, and not compared.

    Raises:
        DataError: the record of downloads beside the file is damaged.
    """
    try:
        if content is not None and path.stat().st_size == content.size_bytes:
            return Checksum(content.sha256, "as published")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    record = path.with_name(RECORD_NAME)
    noted = _read_record(record).get(path.name)
    return None if noted is None else Checksum(noted, f"as recorded in {record} by the download")


def note_checksum(path: Path, sha256: str) -> None:
    """Record a file's checksum in the file beside it; one process at a time.

    Raises:
        DataError: the record is damaged.
        FolderError: the folder cannot be written.
    """
    record = path.with_name(RECORD_NAME)
    noted = {**_read_record(record), path.name: sha256}
    replace_file(record, json.dumps({"sha256": dict(sorted(noted.items()))}, indent=1) + "\n")


def _read_record(record: Path) -> Mapping[str, str]:
    try:
        noted = json.loads(record.read_bytes())["sha256"]
        if not isinstance(noted, dict) or not all(isinstance(value, str) for value in noted.values()):
            raise TypeError
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataError(f"{record}: cannot be read ({os.strerror(error.errno or 0)})") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{record}: damaged: expected JSON with the SHA-256 of the files beside it, found something else; delete "
            "it, and to have the files' content checked again delete those too and run again to download them"
        ) from error
    return noted
