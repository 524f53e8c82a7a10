"""What may have no end is not read."""

import errno
import os
from pathlib import Path

import pytest

from cnnsweep.bounded_files import read_bounded


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_bounded(file, 5) == b"12345"
    with pytest.raises(OSError, match="it has 5 bytes, and at most 4 are read") as raised:
        read_bounded(file, 4)
    assert raised.value.errno == errno.EFBIG


def test_a_file_that_hides_its_size_is_bounded_too() -> None:
    if not Path("/proc/self/maps").exists():
        pytest.skip("needs /proc")
    assert len(read_bounded(Path("/proc/self/maps"), 100)) == 100


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(OSError, match="it is a pipe or a device, not a file"):
            read_bounded(path, 10)
    with pytest.raises(IsADirectoryError):
        read_bounded(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "none", 10)
    with pytest.raises(ValueError, match="null"):
        read_bounded(Path("a\0b"), 10)
