"""What the content of a file must be: as it was published, or as it was noted when cnnsweep downloaded it.

Of files that a person put in place, and that no catalogue lists, nothing can be known but their structure: their
length, their header and the range of their labels. A changed pixel in one of those cannot be seen.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cnnsweep.datasets.torchvision_info import PublishedContent
from cnnsweep.errors import DataError
from cnnsweep.storage.atomic_files import replace_file

RECORD_NAME = ".cnnsweep-sha256.json"


@dataclass(frozen=True, slots=True)
class Checksum:
    """The SHA-256 that a file must have, and who says so."""

    sha256: str
    source: str


def expected_checksum(path: Path, published: PublishedContent | None) -> Checksum | None:
    """Return what a file's content must be, or None where nothing is known about it.

    A file of another length than the published one is taken for another data set, and not compared with it.

    Raises:
        DataError: the record of downloads beside the file is damaged.
    """
    try:
        if published is not None and path.stat().st_size == published.size_bytes:
            return Checksum(published.sha256, "as published")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    record = path.with_name(RECORD_NAME)
    noted = _read_record(record).get(path.name)
    return None if noted is None else Checksum(noted, f"as noted in {record} when it was downloaded")


def note_checksum(path: Path, sha256: str) -> None:
    """Write down beside a file what its content is, beside what is noted of others; one process at a time.

    Raises:
        DataError: what was noted before is damaged.
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
