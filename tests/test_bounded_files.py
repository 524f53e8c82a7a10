"""What may have no end is not read."""

import ast
import errno
import os
from pathlib import Path

import pytest

import cnnsweep
from cnnsweep.storage.read_limited import open_regular, read_bounded

PACKAGE = Path(cnnsweep.__file__).parent
OPENING = {
    *("open", "read_text", "read_bytes", "load_file", "safe_open", "read_csv", "read_json", "fromfile", "memmap"),
    *("RawEventFileLoader", "EventFileLoader", "FileLock"),
}
# What opens a file by itself, and why it may: none of these is a file of a sweep's folder that somebody else can make.
MAY_OPEN = {
    "storage/read_limited.py": "this is the way",
    "storage/atomic_files.py": "writes, and looks at what it has opened",
    "storage/lock.py": "looks at the lock first",
    "storage/environment.py": "/proc",
    "storage/free_memory.py": "/proc and /sys",
    "maintenance/check_installation.py": "/proc and /sys",
    "registry.py": "modules of its own package",
    "html/page.py": "its own style and script",
    "html/plotly_file.py": "a file of an installed package",
    "formatting/stream.py": "/dev/null",
    "evaluation/pictures.py": "a picture in memory",
}


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_bounded(file, 5) == b"12345"
    with pytest.raises(OSError, match="it has 5 bytes; at most 4 are read") as raised:
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


def opens_of(path: Path) -> list[str]:
    """Return the calls in a module that open a file, by the name of what is called."""
    text = path.read_text(encoding="utf-8")
    if not any(f"{name}(" in text for name in OPENING):
        return []
    calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    names = [call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls]
    return [name for name in names if name in OPENING]


def test_whatever_a_sweeps_folder_holds_is_opened_in_the_one_bounded_way() -> None:
    """Data sets have readers of their own; a board or a display that is opened is no file."""
    modules = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] != "datasets"]
    found = {str(path.relative_to(PACKAGE)): names for path in modules if (names := opens_of(path))}
    no_files = {"sweep.py", "progress/watch.py", "progress/journal_events.py"}  # a lock, and displays
    assert found.keys() - MAY_OPEN.keys() - no_files == set()
    assert all(set(found.get(name, ["open"])) == {"open"} for name in no_files)


def test_a_link_to_a_file_is_followed_and_one_to_nowhere_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "nowhere").symlink_to(tmp_path / "none")
    assert read_bounded(tmp_path / "link", 5) == b"12345"
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "nowhere", 5)


def test_what_becomes_a_pipe_after_it_was_looked_at_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    about = (tmp_path / "file").stat()
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(Path, "stat", lambda _: about)
    with pytest.raises(OSError, match="it is a pipe or a device, not a file"):
        open_regular(tmp_path / "pipe")
