"""Reads files that may come from a stranger: real files only, and none that is larger than it has reason to be."""

import errno
import os
import stat
from pathlib import Path


def read_bounded(path: Path, most: int) -> bytes:
    """Return what a file holds.

    Args:
        most: how many bytes it may have.

    Raises:
        OSError: it cannot be read, is a folder, a pipe or a device, which may have no end, or is larger than `most`;
            `strerror` says which.
        ValueError: no file can have such a name.
    """
    about = path.stat()
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    if about.st_size > most:
        raise OSError(errno.EFBIG, f"it has {about.st_size:,} bytes, and at most {most:,} are read", str(path))
    with path.open("rb") as file:
        # A file that grows meanwhile, or that does not know its size as those of /proc, is still bounded.
        return file.read(most)
