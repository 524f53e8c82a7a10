"""Records of an event file: the length, the bytes, and a checksum of each.

The checksum is CRC-32C. TensorBoard's own writer computes it byte by byte in Python unless TensorFlow is installed,
which took half of the time of writing an epoch.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

from google_crc32c import value as crc32c

_MASK = 0xA282EAD8  # the format's mask of checksums, since data may contain checksums
_LONGEST = 256 << 20  # maximum bytes of a record; the largest of ours are pictures
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
_HEADER_BYTES = _LENGTH.size + _CHECKSUM.size


def write_record(write: Callable[[bytes], object], data: bytes) -> None:
    """Write one record: little-endian length, its checksum, the data, their checksum."""
    length = _LENGTH.pack(len(data))
    write(b"".join((length, _checksum(length), data, _checksum(data))))


def read_records(file: BinaryIO) -> Iterator[bytes]:
    """Yield the data of an event file's records, up to the first incomplete one.

    TensorBoard's own reader would wait for a pipe, and allocate the length that a record claims.
    """
    left = os.fstat(file.fileno()).st_size
    while len(header := file.read(_HEADER_BYTES)) == _HEADER_BYTES:
        (length,) = _LENGTH.unpack_from(header)
        left -= _HEADER_BYTES + length + _CHECKSUM.size
        if header[_LENGTH.size :] != _checksum(header[: _LENGTH.size]) or left < 0 or length > _LONGEST:
            return
        data, end = file.read(length), file.read(_CHECKSUM.size)
        if end != _checksum(data):
            return
        yield data


def _checksum(data: bytes) -> bytes:
    checksum = crc32c(data)
    return _CHECKSUM.pack((((checksum >> 15) | (checksum << 17)) + _MASK) & 0xFFFFFFFF)
