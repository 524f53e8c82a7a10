"""Opens files that may come from a stranger: regular files only, and none that is larger than it has reason to be.

A pipe would be waited for, a device may have no end, and opening one may do something. Whatever a sweep's folder holds
is read through here, and `tests/test_bounded_files.py` looks that it stays so. A link to a regular file is followed:
people keep their runs on other disks.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 256 << 20  # ten thousand runs of a hundred epochs; as JSON it may take forty times as much in memory
_UNWAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)  # what lies there may be another by now
_FLAGS = os.O_RDONLY | _UNWAITING | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path, most: int | None = None) -> BinaryIO:
    """Open a regular file for reading, at once.

    Args:
        most: how many bytes it may have; None where the reader itself reads no more than it needs.

    Raises:
        OSError: it cannot be read, is a folder, a pipe or a device, or is larger than `most`; `strerror` says which.
        ValueError: no file can have such a name.
    """
    refuse_irregular(path, path.stat())
    file = os.fdopen(os.open(path, _FLAGS), "rb")
    try:
        about = os.fstat(file.fileno())
        refuse_irregular(path, about)
        if most is not None and about.st_size > most:
            raise OSError(errno.EFBIG, f"it has {about.st_size:,} bytes, and at most {most:,} are read", str(path))
    except BaseException:
        file.close()
        raise
    return file


def refuse_irregular(path: Path, about: os.stat_result) -> None:
    """Raise OSError for what is no regular file; `strerror` says what it is."""
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))


def read_bounded(path: Path, most: int) -> bytes:
    """Return what a file holds.

    Args:
        most: how many bytes it may have.

    Raises:
        OSError, ValueError: see `open_regular`.
    """
    with open_regular(path, most) as file:
        # A file that grows meanwhile, or that does not know its size as those of /proc, is still bounded.
        return file.read(most)
