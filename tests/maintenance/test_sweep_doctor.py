"""A sweep's folder with each of its files damaged or missing in turn: found, mended, and trained to the same end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from damaged_sweeps import OVERRIDES, assert_repairs, check, copy_of, flipped, make_sweep, repair
from small_sweeps import SilentDisplay, sweep, tables, untimed

from cnnsweep.errors import FolderError, ResultsError
from cnnsweep.maintenance.check_sweep import find_sweep
from cnnsweep.maintenance.clean import CleaningWishes, clean
from cnnsweep.maintenance.diagnostic import Level, has_problems
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import SweepPaths

DERIVED = ("results.json", "results.csv", "runs.csv", "sweep.yaml")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_sweep(tmp_path_factory.mktemp("whole") / "small")


@pytest.fixture
def folder(whole, tmp_path):
    return copy_of(whole, tmp_path / "small")


def run_folder(folder: Path, number: int = 0) -> Path:
    return folder / tables(folder)["runs"][number]["run"]


def problems(folder: Path) -> list[str]:
    return [f"{f.subject}: {f.words}" for f in check(folder) if f.level is Level.PROBLEM]


def notes(folder: Path) -> list[str]:
    return [f"{f.subject}: {f.words}" for f in check(folder) if f.level is Level.NOTE]


def files_of(folder: Path) -> list[Path]:
    return sorted(
        path.relative_to(folder) for path in folder.rglob("[!.]*") if path.is_file() and path.name != "journal.jsonl"
    )


def test_a_whole_folder_is_sound_and_left_alone(whole, folder):
    assert not has_problems(check(folder))
    assert notes(folder) == []
    assert repair(folder) == []
    assert files_of(folder) == files_of(whole)


@pytest.mark.parametrize("name", DERIVED)
def test_what_follows_from_the_journal_is_written_anew(whole, folder, name):
    for damage in (Path.unlink, lambda path: path.write_bytes(flipped(path.read_bytes()))):
        damage(folder / name)
        assert any(words.startswith(name) for words in problems(folder))
        assert repair(folder) == [f"rewrote {name}"]
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
        assert not has_problems(check(folder))


def test_best_weights_come_back_from_the_last_checkpoint(whole, folder):
    best_at_the_end = [row for row in tables(folder)["runs"] if row["best_epoch"] == 2]
    name = best_at_the_end[0]["run"]
    path = folder / name / "best.safetensors"
    path.write_bytes(flipped(path.read_bytes(), 0.9))
    assert any("SHA-256 of its weights" in words for words in problems(folder))
    assert repair(folder) == [f"{name}: rebuilt best.safetensors from a checkpoint of the same epoch"]
    assert path.read_bytes() == (whole / name / path.name).read_bytes()


def test_best_weights_that_are_nowhere_are_trained_again(whole, folder):
    run = run_folder(folder)
    for name in ("best.safetensors", "last.safetensors", "best.json"):
        (run / name).write_bytes(b"nothing")
    assert f"{run.name}: its best weights are lost; the run starts over when the sweep is run again" in repair(folder)
    display = SilentDisplay()
    sweep(folder, display=display, overrides=OVERRIDES)
    assert len(display.records) == 2
    assert untimed(folder) == untimed(whole)


def test_best_weights_of_another_run_are_noticed(folder):
    first, second = run_folder(folder, 0), run_folder(folder, 1)
    shutil.copy(first / "best.safetensors", second / "best.safetensors")
    wanted = f"holds weights of run {first.name} (SHA-256 "
    assert any(words.startswith(f"{second.name}: ") and wanted in words for words in problems(folder))


def test_batch_losses_come_back_from_tensorboard(whole, folder):
    path = run_folder(folder) / "batch_loss.csv"
    before = path.read_text()
    lines = before.splitlines(keepends=True)
    for text in (
        "",
        "".join(lines[:-1]),
        before + "3,9,0.1\n",
        before.replace(",", ";"),
        before.replace("1,2,", "1,3,"),
        "".join([*lines[:-1], lines[-1].rpartition(",")[0] + ",0.5\n"]),
    ):
        path.write_text(text)
        assert any("batch_loss.csv" in words for words in problems(folder)), text
        assert repair(folder) == [f"{path.parent.name}: rebuilt batch_loss.csv from TensorBoard's files"]
        assert path.read_text() == before


def test_a_damaged_event_file_is_cut_to_what_can_be_read(folder):
    path = min(run_folder(folder).glob("events.*"))
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    assert any("bytes can be read" in words for words in problems(folder))
    repair(folder)
    assert content.startswith(path.read_bytes())
    assert not has_problems(check(folder))


def test_leftovers_go_and_foreign_files_are_only_named(folder):
    run = run_folder(folder)
    (folder / ".results.json.7.tmp").touch()
    (run / ".best.json.7.tmp").touch()
    (folder / "notes.txt").write_text("mine")
    (run / "plot.png").write_text("mine")
    assert len(notes(folder)) == 4
    assert len(repair(folder)) == 2
    assert notes(folder) == [f"{run.name}: plot.png is not cnnsweep's", "notes.txt: is not cnnsweep's"]
    assert not has_problems(check(folder))


def test_symbolic_links_are_problems_and_never_followed(folder, tmp_path):
    run = run_folder(folder)
    shutil.move(run, tmp_path / "elsewhere")
    run.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / ".x.1.tmp").touch()
    (tmp_path / "elsewhere" / "best.json").unlink()
    assert any("symbolic link" in words for words in problems(folder))
    repair(folder)
    assert (tmp_path / "elsewhere" / ".x.1.tmp").exists()
    assert not (tmp_path / "elsewhere" / "best.json").exists()


def test_a_damaged_checkpoint_of_a_run_under_way_falls_back_to_the_one_before(folder, whole, tmp_path):
    journal = folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    ends = [number for number, line in enumerate(lines) if b'"event": "ended"' in line]
    journal.write_bytes(b"".join(lines[: ends[-1]]))  # as if it had been killed just before the end
    run = run_folder(folder, 1)
    (run / "last.safetensors").write_bytes(b"damaged")
    assert any("starts over" in words for words in notes(folder))
    assert not [words for words in problems(folder) if words.startswith(run.name)]
    assert assert_repairs(folder, whole, "last checkpoint") == 2


def test_everything_but_the_journal_may_be_gone(whole, folder):
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "journal.jsonl":
            path.unlink()
    assert problems(folder)
    assert assert_repairs(folder, whole, "everything") == 4


def damages(path: Path) -> Iterator[Callable[[], object]]:
    yield path.unlink
    yield lambda: path.write_bytes(b"")
    yield lambda: path.write_bytes(flipped(path.read_bytes(), 0.6))
    yield lambda: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    yield lambda: path.write_bytes(os.urandom(300))
    yield lambda: (path.unlink(), path.mkdir())


def assert_any_file_may_be_damaged(whole, target, step):
    cases = [(file, number) for file in files_of(whole) for number in range(6)]
    for file, number in cases[::step]:
        folder = copy_of(whole, target)
        path = folder / file
        list(damages(path))[number]()
        if path.is_dir() and path.name == "evaluation.json":
            continue  # nothing but a page of the report reads it, and that says so
        with suppress(FolderError) if path.is_dir() else nullcontext():  # a folder is not ours to take away
            check(folder)
            assert_repairs(folder, whole, (str(file), number))


def test_damage_of_some_files_is_mended(whole, tmp_path):
    assert_any_file_may_be_damaged(whole, tmp_path / "d", step=17)


@pytest.mark.faults
def test_damage_of_any_file_is_mended(whole, tmp_path):
    assert_any_file_may_be_damaged(whole, tmp_path / "d", step=1)


def test_a_sweep_that_was_cut_off_has_no_problems(whole, folder):
    journal = folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-2]))
    assert not has_problems(check(folder))
    assert any("results.json" in words for words in notes(folder))


def test_a_sweep_that_is_running_is_looked_at_and_not_mended(folder):
    (run_folder(folder) / "best.safetensors").write_bytes(b"damaged")
    (folder / "results.json").unlink()
    with locked(SweepPaths(folder)):
        found = check(folder)
        assert any("a command is running here (process" in f.words for f in found)
        assert not any(f.subject == "results.json" for f in found), "it may be about to be written"
        assert any("best.safetensors" in f.words for f in found)
        with pytest.raises(FolderError, match="is in use by process"):
            repair(folder)


def test_a_sweep_is_found_by_what_lies_in_it(folder, tmp_path, monkeypatch):
    run = run_folder(folder)
    for path in (folder, folder / "results.json", run, run / "best.safetensors"):
        assert find_sweep(path).folder == folder
    monkeypatch.chdir(run)
    assert find_sweep(Path()).folder.resolve() == folder.resolve()
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ResultsError):
            find_sweep(path)


def test_old_folders_are_checked_without_a_problem_that_is_none(tmp_path):
    old = Path(__file__).parent.parent / "storage" / "old"
    for kind in sorted(path.name for path in old.iterdir()):
        folder = copy_of(old / kind, tmp_path / kind)
        repair(folder)
        assert problems(folder) == [], kind


def test_a_persons_own_hidden_files_and_folders_outlive_run_repair_and_clean(folder):
    run = run_folder(folder)
    for place in (folder, run):
        (place / ".mine.tmp").write_text("mine")
        (place / ".foo.tmp").mkdir()
        (place / ".best.json.7.tmp").mkdir()
    (run / "best.safetensors").unlink()
    (run / "last.safetensors").unlink()  # there is something to train again
    repair(folder)
    display = SilentDisplay()
    sweep(folder, display=display, overrides=OVERRIDES)
    assert len(display.records) == 2
    clean(find_sweep(folder), CleaningWishes())
    for place in (folder, run):
        assert (place / ".mine.tmp").read_text() == "mine"
        assert (place / ".foo.tmp").is_dir()
        assert (place / ".best.json.7.tmp").is_dir()
    assert ".foo.tmp: is not cnnsweep's" in notes(folder)
