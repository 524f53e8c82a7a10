"""One process at a time in a folder; a dead one does not block."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from cnnsweep.errors import FolderError
from cnnsweep.storage.clear import clear_sweep
from cnnsweep.storage.journal import Journal
from cnnsweep.storage.lock import holder as holder_of
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import SweepPaths

HOLD = """
import sys, time
from pathlib import Path
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import SweepPaths
with locked(SweepPaths(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def held(paths: SweepPaths) -> None:
    with locked(paths):
        pass


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_told_who_holds_the_folder(tmp_path, holder):
    with (
        pytest.raises(FolderError, match=rf"is in use by process {holder.pid} on .+; wait for it"),
        locked(SweepPaths(tmp_path)),
    ):
        pass


def test_a_killed_holder_does_not_block(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    for _ in range(50):
        try:
            with locked(SweepPaths(tmp_path)):
                owner = json.loads(SweepPaths(tmp_path).lock_owner.read_text())
                assert owner["pid"] == os.getpid()
            return
        except FolderError:
            time.sleep(0.1)
    pytest.fail("the lock outlived its process")


def test_clearing_takes_what_a_sweep_wrote_and_nothing_else(tmp_path):
    paths = SweepPaths(tmp_path / "sweep")
    (paths.folder / "run-1").mkdir(parents=True)
    (paths.folder / "run-1" / "log.txt").write_text("x")
    (paths.folder / "notes").mkdir()
    (paths.folder / "notes.txt").write_text("mine")
    outside = tmp_path / "outside"
    outside.mkdir()
    journal = Journal(paths.journal)
    for name in ("run-1", "../outside", ".."):
        journal.append({"event": "run", "run": name, "name": name, "settings": {}, "parameters": 1, "time": "t"})
    journal.close()
    paths.results_json.write_text("{}")
    clear_sweep(paths)
    left = sorted(p.name for p in paths.folder.iterdir() if not p.name.startswith("."))
    assert left == ["journal.jsonl", "notes", "notes.txt"]
    assert outside.is_dir()


def test_a_damaged_journal_can_be_cleared(tmp_path):
    paths = SweepPaths(tmp_path)
    (tmp_path / "run-1").mkdir()
    (tmp_path / "run-1" / "log.txt").write_text("x")
    paths.journal.write_bytes(b"rubbish\nmore\n")
    clear_sweep(paths)
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["journal.jsonl"]
    assert paths.journal.read_bytes() == b""


def put(kind: str, place, victim) -> None:
    """Put something that is no lock into a lock's place."""
    if kind == "link":
        place.symlink_to(victim)
    elif kind == "dangling link":
        place.symlink_to(victim.with_name("not there"))
    elif kind == "hard link":
        place.hardlink_to(victim)
    elif kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)


@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "folder", "pipe"])
@pytest.mark.parametrize("look", [holder_of, held], ids=["looking", "taking"])
def test_what_is_no_lock_is_refused_and_what_it_points_to_keeps_its_content(tmp_path, kind, look):
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    paths = SweepPaths(tmp_path / "sweep")
    paths.folder.mkdir()
    put(kind, paths.lock, victim)
    with pytest.raises(FolderError, match=r"\.lock: is .+, where a lock belongs"):
        look(paths)
    assert victim.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sweep", "victim.txt"]
    assert [path.name for path in paths.folder.iterdir()] == [".lock"]


@pytest.mark.parametrize("owner", ["[]", "not JSON", "[" * 100_000])
def test_an_owner_that_cannot_be_read_is_another_cnnsweep(tmp_path, holder, owner):
    SweepPaths(tmp_path).lock_owner.write_text(owner)
    assert holder_of(SweepPaths(tmp_path)) == "another cnnsweep"
