"""Which files of a person's own reach the nodes of a cluster, and how they are found there."""

import sys

import pytest

from cnnsweep import plugins as user_code
from cnnsweep.errors import UsageError
from cnnsweep.executors import code_upload as staged_code
from cnnsweep.executors.code_upload import stage_code


@pytest.fixture
def source(tmp_path, monkeypatch):
    folder = tmp_path / "source"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def write(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Net = {name!r}\n")


def staged(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_python_files_of_the_folder_are_sent_and_nothing_else(source, tmp_path):
    write(source, "nets.py", "parts/layers.py", "notes.txt", "big.bin")
    write(source, ".hidden/a.py", "runs/x/b.py", "data/c.py", "env/lib/d.py", "env/pyvenv.cfg", "__pycache__/e.py")
    copies = stage_code([f"{source}/nets.py:Net", "lenet"], tmp_path / "target")
    assert copies == {str(source): "0"}
    assert staged(tmp_path / "target") == ["0/nets.py", "0/parts/layers.py"]
    assert (tmp_path / "target" / "0" / "parts" / "layers.py").read_text() == "Net = 'parts/layers.py'\n"


def test_each_file_is_found_where_its_copy_is(source, tmp_path, monkeypatch):
    files = ["nets.py", "one/nets.py", "data/three.py"]  # the last is in a folder that the first one leaves out
    write(source, *files, "ownmodule.py")
    references = [*(f"{source}/{name}:Net" for name in files), "ownmodule:Net"]
    copies = stage_code(references, tmp_path / "target")
    monkeypatch.setattr(user_code, "_moved", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    for folder, copy in copies.items():
        user_code.find_moved_code(folder, tmp_path / "target" / copy)
    source.rename(tmp_path / "gone")
    monkeypatch.chdir(tmp_path)
    assert [user_code.load_object(reference) for reference in references] == [*files, "ownmodule.py"]


def test_a_module_below_the_current_folder_must_be_among_what_is_sent(source, tmp_path):
    write(source, "own/__init__.py", "own/nets.py", "runs/__init__.py", "runs/nets.py")
    copies = stage_code(["own.nets:Net", "torchvision.models:resnet18"], tmp_path / "target")
    assert copies == {str(source): "0"}
    assert staged(tmp_path / "target") == ["0/own/__init__.py", "0/own/nets.py"]
    with pytest.raises(UsageError, match=r"runs\.nets:Net: is not sent"):
        stage_code(["runs.nets:Net"], tmp_path / "other")


@pytest.mark.parametrize(("limit", "words"), [("_MOST_FILES", "at most 1 "), ("_MOST_BYTES", " and 0 MB are sent")])
def test_too_much_code_is_refused(source, tmp_path, monkeypatch, limit, words):
    write(source, "a.py", "b.py")
    monkeypatch.setattr(staged_code, limit, 1)
    with pytest.raises(UsageError, match=words):
        stage_code([f"{source}/a.py:Net"], tmp_path / "target")


def test_a_folder_without_end_is_not_searched_to_its_end(source, tmp_path, monkeypatch):
    write(source, "a.py", "x/y/z.txt")
    monkeypatch.setattr(staged_code, "_MOST_FOLDERS", 2)
    with pytest.raises(UsageError, match="more than 2 folders are below it"):
        stage_code([f"{source}/a.py:Net"], tmp_path / "target")
