"""Records of an event file: the length, the bytes, and a checksum of each.

TensorBoard's own writer computes its checksum, CRC-32C, byte by byte in Python unless TensorFlow is installed; that
took half of the time in which an epoch was written down.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits reversed, as RFC 3720 defines CRC-32C
_MASK = 0xA282EAD8  # by which the format changes checksums, since data may hold checksums themselves
_BLOCK = 256  # bytes that are looked up at once
_LONGEST = 256 << 20  # bytes of a record that is read; ours are pictures at most
_FEW = 100  # bytes; for fewer, a loop is faster than NumPy's calls
_PLACES = np.arange(_BLOCK)


def write_record(write: Callable[[bytes], object], data: bytes) -> None:
    """Write one record: little-endian length, its checksum, the data, their checksum."""
    write(b"".join((_header(len(data)), data, struct.pack("<I", _masked(crc32c(data))))))


_HEADER = struct.Struct("<QI")  # a record's length, and the checksum of that
_CHECKSUM = struct.Struct("<I")


def read_records(file: BinaryIO) -> Iterator[bytes]:
    """Yield the data of an event file's records, up to the first that is not whole.

    TensorBoard's own reader waits for a pipe, and takes as much memory as a record says that it is long.
    """
    left = os.fstat(file.fileno()).st_size
    while len(header := file.read(_HEADER.size)) == _HEADER.size:
        length, checksum = _HEADER.unpack(header)
        left -= _HEADER.size + length + _CHECKSUM.size
        if checksum != _masked(crc32c(header[:8])) or left < 0 or length > _LONGEST:
            return
        data, end = file.read(length), file.read(_CHECKSUM.size)
        if len(end) < _CHECKSUM.size or _CHECKSUM.unpack(end)[0] != _masked(crc32c(data)):
            return
        yield data


@functools.lru_cache(maxsize=1024)  # the thousand records of an epoch's batches have few different lengths
def _header(length: int) -> bytes:
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", _masked(crc32c(packed)))


def _masked(checksum: int) -> int:
    return (((checksum >> 15) | (checksum << 17)) + _MASK) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of some bytes."""
    return (_by_loop(data) if len(data) < _FEW else _by_blocks(data)) ^ 0xFFFFFFFF


def _by_loop(data: bytes) -> int:
    by_byte, state = _by_byte(), 0xFFFFFFFF
    for byte in data:
        state = by_byte[(state ^ byte) & 0xFF] ^ (state >> 8)
    return state


def _by_blocks(data: bytes) -> int:
    """Return the same, several times as fast.

    A checksum is linear in the bits of its data: each byte's part of it follows from the byte and its distance from the
    end alone. Within a block all parts are looked up at once and added, which is XOR; only from block to block there is
    a loop.
    """
    padding = -len(data) % _BLOCK  # zeros in front change nothing once the initial ones are part of the data
    padded = np.frombuffer(bytes(padding) + data, np.uint8).copy()
    padded[padding : padding + 4] ^= 0xFF
    parts = np.bitwise_xor.reduce(_by_distance()[_PLACES, padded.reshape(-1, _BLOCK)], 1)
    state = 0
    for part in parts.tolist():
        state = _after_zeros(state) ^ part
    return state


def _after_zeros(state: int) -> int:
    """Return what a block of zeros makes of the checksum so far: its four bytes, each at its distance from the end."""
    first, second, third, fourth = _leading_bytes()
    return first[state & 0xFF] ^ second[state >> 8 & 0xFF] ^ third[state >> 16 & 0xFF] ^ fourth[state >> 24]


@functools.cache
def _by_byte() -> list[int]:
    """Return, for each byte, its part of a checksum when it is the last byte."""
    table = []
    for byte in range(256):
        part = byte
        for _ in range(8):
            part = part >> 1 ^ (_POLYNOMIAL if part & 1 else 0)
        table.append(part)
    return table


@functools.cache
def _by_distance() -> Words:
    """Return, for each place in a block and each byte there, its part of the block's checksum: (_BLOCK, 256)."""
    last = np.array(_by_byte(), np.uint32)
    parts = [last]
    for _ in range(_BLOCK - 1):  # a zero after it moves a part on by one byte
        parts.append(last[parts[-1] & 0xFF] ^ parts[-1] >> 8)
    return np.stack(parts[::-1])


@functools.cache
def _leading_bytes() -> list[list[int]]:
    # What a checksum so far does to what follows is as if its four bytes were added to the first four of it.
    leading: list[list[int]] = _by_distance()[:4].tolist()
    return leading
