"""Memory shared by several processes."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import sys
import tempfile

import torch
from torch import Tensor


class SharedMemory:
    """Bytes shared with the processes that receive the file descriptor.

    They have no name: nothing remains after the last process has ended in any way. A container's small /dev/shm is no
    limit.

    Attributes:
        descriptor: file descriptor in this process.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        """Map the memory of another process.

        Args:
            descriptor: this object closes it.
        """
        self.descriptor = descriptor
        self._size = size
        self._map = mmap.mmap(descriptor, max(size, 1))

    @classmethod
    def of_size(cls, size: int) -> SharedMemory:
        """Return new memory.

        Raises:
            OSError: no memory is left.
        """
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("cnnsweep")
        else:  # macOS: a file without a name
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.truncate(descriptor, max(size, 1))
        return cls(descriptor, size)

    @classmethod
    def holding(cls, content: bytes) -> SharedMemory:
        """Return new memory with a copy of some bytes.

        Raises:
            OSError: no memory is left.
        """
        memory = cls.of_size(len(content))
        memory._map[: len(content)] = content
        return memory

    @property
    def content(self) -> bytes:
        return self._map[: self._size]

    def tensor(self, shape: tuple[int, ...]) -> Tensor:
        """Return the bytes as a uint8 tensor of the same size; the memory lasts as long as the tensor."""
        return torch.frombuffer(self._map, dtype=torch.uint8, count=self._size).view(shape)

    def __del__(self) -> None:
        os.close(self.descriptor)


def give_back_freed_memory() -> None:
    """Make glibc's malloc return freed pages to the kernel now; during training it keeps them."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):  # musl has no malloc_trim
            ctypes.CDLL(None).malloc_trim(0)
