"""A file is replaced whole or not at all."""

import errno
import os

import pytest

from cnnsweep.errors import FolderError
from cnnsweep.recording.files import replace_file, to_json


def test_content_is_replaced(tmp_path):
    path = tmp_path / "file"
    replace_file(path, "old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_failure_at_any_step_leaves_the_old_content_and_no_rubbish(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    replace_file(path, "old")

    def fail(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    elif step == "replace":
        monkeypatch.setattr(type(path), "replace", fail)
    else:
        real_open = type(path).open

        def open_failing(self, *args, **kwargs):
            file = real_open(self, *args, **kwargs)
            file.close()
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(type(path), "open", open_failing)
    with pytest.raises(FolderError) as caught:
        replace_file(path, "new")
    assert str(caught.value) == (
        f"{path}: cannot be written (No space left on device); free some space and run the same command again; "
        "nothing that was saved is lost"
    )
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_json_never_holds_nan():
    assert to_json({"a": float("nan"), "b": (1, float("inf")), "c": "é"}) == '{"a": null, "b": [1, null], "c": "é"}'
