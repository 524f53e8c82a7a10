"""A file is replaced whole or not at all."""

import errno
import os

import pytest

from cnnsweep.errors import DiskFullError, FolderError
from cnnsweep.storage.atomic_files import (
    append_to,
    make_folder,
    remove_folder,
    remove_leftovers,
    replace_and_keep,
    replace_file,
    to_json,
)
from cnnsweep.storage.paths import SweepPaths, is_leftover, temporary_name


def test_content_is_replaced(tmp_path):
    path = tmp_path / "file"
    replace_file(path, "old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_failure_at_any_step_leaves_the_old_content_and_no_rubbish(tmp_path, monkeypatch, step, code):
    path = tmp_path / "file"
    replace_file(path, "old")

    def fail(*_args):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(DiskFullError) as caught:
            replace_file(path, "new")
    what = "the limit on the size of files" if code == errno.EFBIG else os.strerror(code)
    assert str(caught.value) == (
        f"{path}: disk full ({what}); free some space and run the same command again; nothing that was saved is lost"
    )
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_takes_a_few_bytes_at_a_time_gets_all_of_them(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:7]))
    replace_file(tmp_path / "file", "0123456789" * 10)
    append_to(tmp_path / "file", "more than seven")
    assert (tmp_path / "file").read_text() == "0123456789" * 10 + "more than seven"


def test_the_file_before_stays_under_another_name(tmp_path):
    last, previous = tmp_path / "last", tmp_path / "previous"
    for content in (b"1", b"2", b"3"):
        replace_and_keep(last, previous, content)
    assert (last.read_bytes(), previous.read_bytes()) == (b"3", b"2")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_grows_and_has_its_heading_once(tmp_path):
    path = tmp_path / "file"
    path.touch()  # a crash came before the first line
    for line in ("a\n", "b\n"):
        append_to(path, line, heading="heading\n")
    assert path.read_text() == "heading\na\nb\n"


def test_what_is_written_never_follows_a_symbolic_link(tmp_path):
    outside, link = tmp_path / "outside", tmp_path / "link"
    outside.write_text("mine")
    link.symlink_to(outside)
    with pytest.raises(FolderError, match="link: cannot be written"):
        append_to(link, "hostile")
    replace_file(link, "new")  # the link itself is replaced
    assert outside.read_text() == "mine"
    assert link.read_text() == "new"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path)
    remove_folder(tmp_path / "folder")
    assert outside.exists()


def test_what_a_killed_process_had_begun_is_removed_and_nothing_else(tmp_path):
    ours = [".last.safetensors.123.tmp", "..lock-owner.json.1.tmp", ".journal.jsonl.damaged-2.7.tmp",
            ".events.out.tfevents.0000000001.host.1.0.5.tmp"]  # fmt: skip
    others = [
        ".lock",
        "mine.tmp",
        "log.txt",
        ".mine.tmp",
        ".mine.7.tmp",
        ".last.safetensors.tmp",
        ".results.json.x.tmp",
    ]
    for name in [*ours, *others]:
        (tmp_path / name).touch()
    (tmp_path / ".foo.tmp").mkdir()
    (tmp_path / ".best.json.1.tmp").mkdir()
    (tmp_path / ".best.json.2.tmp").symlink_to("log.txt")
    remove_leftovers(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*others, ".foo.tmp", ".best.json.1.tmp", ".best.json.2.tmp"}


def test_whatever_is_written_whole_is_known_again_where_that_was_cut_short(tmp_path):
    paths = SweepPaths(tmp_path)
    run = paths.run("r")
    files = [paths.results_json, paths.results_csv, paths.runs_csv, paths.environment, paths.frozen_spec, paths.journal]
    files += [paths.lock_owner, run.best_weights, run.best_description, run.last_checkpoint, run.batch_losses]
    run.folder.mkdir()
    for file in [*files, run.evaluation, run.folder / "events.out.tfevents.1"]:
        begun = temporary_name(file, 77)
        begun.touch()
        assert is_leftover(begun)


def test_json_never_holds_nan():
    assert to_json({"a": float("nan"), "b": (1, float("inf")), "c": "é"}) == '{"a": null, "b": [1, null], "c": "é"}'


def test_a_folder_that_another_command_makes_in_this_moment_is_made(tmp_path, monkeypatch):
    make = os.mkdir

    def make_first(path, *rest):
        make(path, *rest)
        make(path, *rest)  # raises, as for the second of two

    monkeypatch.setattr(os, "mkdir", make_first)
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
