"""Reads untrusted safetensors files: once, completely, and only if their header can be valid.

The checked, hashed and used content is then the same, even if the file changes meanwhile.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path

from cnnsweep.storage.read_limited import open_regular

_LONGEST_HEADER = 16 << 20  # bytes; one of a thousand tensors has a hundred thousand
_LENGTH = 8  # bytes, which say how long the header is


def read_safetensors(path: Path, most: int) -> bytes:
    """Return a file's content; of a file that cannot be safetensors only the beginning is read.

    Args:
        most: limit of its size in bytes.

    Raises:
        OSError: it cannot be read, is no regular file, or larger than `most` (EFBIG).
        ValueError: its header cannot be one, or no file can have such a name.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        beginning = file.read(_LENGTH)
        length = int.from_bytes(beginning, "little")
        if length > _LONGEST_HEADER:
            raise ValueError(f"a header of {length:,} bytes, where at most {_LONGEST_HEADER:,} are allowed")
        if not 1 < length <= size - _LENGTH:
            raise ValueError("it has no header")
        if size > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes", str(path))
        return beginning + file.read(size - _LENGTH)


def header_text(content: bytes, key: str) -> str | None:
    """Return a text of a file's header, None if it is missing.

    Raises:
        ValueError: the header is no JSON, or none of safetensors.
    """
    header = json.loads(content[_LENGTH : _LENGTH + int.from_bytes(content[:_LENGTH], "little")])
    texts = header.get("__metadata__", {}) if isinstance(header, Mapping) else None
    if not isinstance(texts, Mapping):
        raise ValueError("its header is none of safetensors")
    text = texts.get(key)
    return text if isinstance(text, str) else None
