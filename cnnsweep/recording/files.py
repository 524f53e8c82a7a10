"""The write protocol: a file is replaced whole or not at all, whatever happens in between."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from cnnsweep.errors import FolderError


def replace_file(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader, or a crash at any instant, meets the old content or the new, never a part.

    Raises:
        FolderError: the disk is full, or the folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    replace_file_by(path, lambda file: file.write(data))


def replace_file_by(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """As `replace_file`, for content that is written piece by piece."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power loss, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unwritable(path: Path, error: OSError) -> FolderError:
    """Return the error that says why a file could not be written, and what to do."""
    remedy = "free some space and run the same command again; nothing that was saved is lost"
    if not isinstance(error, PermissionError) and error.errno not in (28, 122):  # ENOSPC, EDQUOT
        remedy = "check that the folder is there and can be written, then run the same command again"
    elif isinstance(error, PermissionError):
        remedy = "make the folder writable, or choose another with --out"
    return FolderError(f"{path}: cannot be written ({error.strerror or error}); {remedy}")


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return JSON that every reader accepts: NaN and infinities, which JSON does not have, become null."""
    return json.dumps(_without_nan(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return value
