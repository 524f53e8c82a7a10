"""Bounded reads of untrusted files: regular files only, up to a size limit.

Reading a pipe would wait, a device may have no end, and opening one may have side effects. All files of a sweep's
folder are read through this module, which `tests/test_bounded_files.py` checks. Links to regular files are followed:
runs may be on other disks.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 256 << 20  # ten thousand runs of a hundred epochs; parsed JSON may take forty times the memory
_UNWAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)  # the file may have been replaced by now
_FLAGS = os.O_RDONLY | _UNWAITING | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path, most: int | None = None) -> BinaryIO:
    """Open a regular file for reading, without waiting.

    Args:
        most: limit of its size in bytes; None if the reader itself is bounded.

    Raises:
        OSError: it cannot be read, is a folder, a pipe or a device, or is larger than `most`; `strerror` has the
            reason.
        ValueError: the name is impossible.
    """
    refuse_irregular(path, path.stat())
    file = os.fdopen(os.open(path, _FLAGS), "rb")
    try:
        about = os.fstat(file.fileno())
        refuse_irregular(path, about)
        if most is not None and about.st_size > most:
            raise OSError(errno.EFBIG, f"it has {about.st_size:,} bytes; at most {most:,} are read", str(path))
    except BaseException:
        file.close()
        raise
    return file


def refuse_irregular(path: Path, about: os.stat_result) -> None:
    """Raise OSError for other than regular files; `strerror` has the reason."""
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))


def read_bounded(path: Path, most: int) -> bytes:
    """Return the content of a file.

    Args:
        most: limit of its size in bytes.

    Raises:
        OSError, ValueError: see `open_regular`.
    """
    with open_regular(path, most) as file:
        # This also bounds a file that grows meanwhile, or that has no known size, as in /proc.
        return file.read(most)
