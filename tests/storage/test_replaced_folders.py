"""A journal, a lock or a folder that is replaced while a sweep trains: it stops, says so, and loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_sweeps import SilentDisplay, sweep, untimed

from cnnsweep.errors import FolderLostError
from cnnsweep.storage.journal import Journal, encode_event
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import SweepPaths
from cnnsweep.storage.state import read_state

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a name whose file is open cannot be taken away there")


class Meddling(SilentDisplay):
    """Does something to the folder, once, when an epoch has been written down."""

    def __init__(self, meddle):
        super().__init__()
        self.meddle = meddle

    def epoch_ended(self, record, selected):
        super().epoch_ended(record, selected)
        meddle, self.meddle = self.meddle, lambda: None
        meddle()


@pytest.fixture(scope="module", params=["off", 2], ids=["alone", "together"])
def fuse(request):
    return request.param


@pytest.fixture(scope="module")
def whole(tmp_path_factory, fuse):
    folder = tmp_path_factory.mktemp("whole") / "small"
    sweep(folder, fuse=fuse)
    return folder


def stop(folder, fuse, meddle):
    """Train until somebody meddles; return what is said, and the display."""
    display = Meddling(meddle)
    with pytest.raises(FolderLostError) as raised:
        sweep(folder, display=display, fuse=fuse)
    assert raised.value.exit_code == 3
    return str(raised.value), display


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def epochs_of(journal):
    return [(run.id, record) for run in read_state(journal).runs.values() for record in run.records]


def assert_goes_on(folder, whole, fuse, before):
    """Assert that the sweep ends as an undisturbed one, and trains at most the epoch again that was on its way."""
    display = SilentDisplay()
    sweep(folder, display=display, fuse=fuse)
    assert untimed(folder) == untimed(whole)
    assert len(before.records) + len(display.records) <= 4 + (2 if fuse == 2 else 1)
    kept = [record for _, record in epochs_of(folder / "journal.jsonl")]
    assert all(record in kept for record in before.records[:-1])


def test_a_journal_that_an_editor_saves_is_noticed_and_what_it_lacks_is_kept(tmp_path, whole, fuse):
    folder = tmp_path / "small"
    journal = folder / "journal.jsonl"

    def save():
        (folder / "new").write_bytes(journal.read_bytes())  # as editors and rsync do
        (folder / "new").rename(journal)

    said, display = stop(folder, fuse, save)
    rescued = folder / "journal.jsonl.rescued-1"
    assert said == (
        f"{journal}: was replaced by another while a command wrote to it; what was recorded is in {rescued}; see "
        "that it is in the journal's place, and run the same command again"
    )
    assert [record for _, record in epochs_of(rescued)] == display.records
    rescued.rename(journal)
    assert_goes_on(folder, whole, fuse, display)


def test_a_journal_that_is_deleted_is_put_back(tmp_path, whole, fuse):
    folder = tmp_path / "small"
    said, display = stop(folder, fuse, (folder / "journal.jsonl").unlink)
    assert "; what was recorded was written down again, whole; see that it is in the journal's place" in said
    assert [record for _, record in epochs_of(folder / "journal.jsonl")] == display.records
    assert_goes_on(folder, whole, fuse, display)


@pytest.mark.skipif(sys.platform != "linux", reason="names of open files are in /proc")
def test_a_journal_that_is_moved_is_found_under_its_new_name(tmp_path, whole, fuse):
    folder = tmp_path / "small"
    moved = folder / "journal.jsonl~"

    def back_up():
        (folder / "journal.jsonl").rename(moved)
        shutil.copy(moved, folder / "journal.jsonl")

    said, display = stop(folder, fuse, back_up)
    assert f"; what was recorded is whole, and is now {moved}; see that it is in the journal's place" in said
    moved.rename(folder / "journal.jsonl")
    assert_goes_on(folder, whole, fuse, display)


def test_a_journal_that_is_written_over_in_place_is_noticed(tmp_path, fuse):
    folder = tmp_path / "small"
    journal = folder / "journal.jsonl"
    said, _ = stop(folder, fuse, lambda: os.truncate(journal, journal.stat().st_size - 10))
    assert said.startswith(f"{journal}: was changed by another program while a command wrote to it")
    assert f"cnnsweep doctor {folder}" in said


def test_a_finished_copy_in_the_place_of_the_folder_is_left_as_it_is(tmp_path, whole, fuse):
    folder, away = tmp_path / "small", tmp_path / "away"

    def swap():
        folder.rename(away)
        shutil.copytree(whole, folder)

    said, display = stop(folder, fuse, swap)
    assert said.startswith(f"{folder}: was replaced by another folder while a command was at work in it; nothing more")
    assert (
        sys.platform != "linux"
        or f"what was recorded is whole, and is now {away / 'journal.jsonl'}; check that" in said
    )
    assert contents(folder) == contents(whole)
    assert_goes_on(away, whole, fuse, display)


def test_of_a_folder_that_is_moved_away_nothing_is_made_anew(tmp_path, whole, fuse):
    folder, away = tmp_path / "small", tmp_path / "away"
    said, display = stop(folder, fuse, lambda: folder.rename(away))
    assert said.startswith(f"{folder}: was removed, or moved away, while a command was at work in it")
    assert not folder.exists()
    assert_goes_on(away, whole, fuse, display)


def test_of_a_folder_that_is_deleted_the_figures_are_kept(tmp_path, fuse):
    folder = tmp_path / "small"
    said, display = stop(folder, fuse, lambda: shutil.rmtree(folder))
    kept = tmp_path / "small.journal.jsonl"
    assert f"what was recorded is in {kept}; check that the folder is there" in said
    assert [record for _, record in epochs_of(kept)] == display.records
    assert not folder.exists()


def test_a_lock_that_is_deleted_stops_the_sweep_before_another_can_write(tmp_path, whole, fuse):
    folder = tmp_path / "small"
    said, display = stop(folder, fuse, (folder / ".lock").unlink)
    assert said.startswith(f"{folder}/.lock: was removed, so that two commands could write into this folder at once")
    assert [record for _, record in epochs_of(folder / "journal.jsonl")] == display.records
    assert_goes_on(folder, whole, fuse, display)


OTHER = """
import sys, time
from pathlib import Path
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import SweepPaths
with locked(SweepPaths(Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_where_another_process_has_taken_a_new_lock_the_first_one_stops(tmp_path, whole, fuse):
    folder = tmp_path / "small"
    others = []

    def take():
        (folder / ".lock").unlink()
        command = [sys.executable, "-c", OTHER, str(folder)]
        others.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert others[0].stdout.readline() == "held\n"

    try:
        said, display = stop(folder, fuse, take)
        assert said.startswith(f"{folder}/.lock: was replaced by another, so that two commands could write")
        owner = json.loads((folder / ".lock-owner.json").read_text())
        assert owner["pid"] == others[0].pid  # it is not the first one's to remove
    finally:
        for other in others:
            other.communicate()
    assert_goes_on(folder, whole, fuse, display)


def test_an_event_file_that_is_removed_is_one_warning_and_training_goes_on(tmp_path, whole, fuse):
    folder = tmp_path / "small"

    def remove():
        for path in folder.glob("*/events.out.tfevents.*"):
            path.unlink()

    display = Meddling(remove)
    sweep(folder, display=display, fuse=fuse)
    assert [words for words in display.messages if words.startswith("TensorBoard: cannot write (")] == display.messages
    assert len(display.messages) == 1
    assert "was removed" in display.messages[0]
    assert untimed(folder) == untimed(whole)


def test_a_second_rescue_does_not_write_over_the_first(tmp_path):
    path = tmp_path / "journal.jsonl"
    for number in (1, 2):
        journal = Journal(path)
        journal.append({"event": "left", "status": "finished", "time": str(number)})
        for _ in range(2):  # said again, kept once
            path.unlink(missing_ok=True)
            path.write_bytes(b"")
            with pytest.raises(FolderLostError, match=rf"rescued-{number}; see that"):
                journal.append({"event": "left", "status": "finished", "time": "lost"})
        journal.close()
    lines = [encode_event({"event": "left", "status": "finished", "time": str(number)}) for number in (1, 2)]
    assert [(tmp_path / f"journal.jsonl.rescued-{number}").read_bytes() for number in (1, 2)] == lines


def test_a_hold_knows_its_folder_through_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with locked(SweepPaths(tmp_path / "link")) as hold:
        assert hold.loss() is None
        (tmp_path / "link").unlink()
        assert "was removed, or moved away" in hold.loss()
        (tmp_path / "link").symlink_to(tmp_path / "real")
        assert hold.loss() is None
        assert Path(tmp_path / "real" / ".lock-owner.json").exists()
    assert not Path(tmp_path / "real" / ".lock-owner.json").exists()
