"""Cleaning frees room and loses nothing that anybody would miss."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from damaged_sweeps import OVERRIDES, check, copy_of, flipped, make_sweep
from small_sweeps import SilentDisplay, sweep, tables, untimed

from cnnsweep.analysis.results import load_results
from cnnsweep.errors import FolderError, ResultsError
from cnnsweep.evaluation.evaluate import EvaluationOptions, evaluate_chosen
from cnnsweep.maintenance.clean import CleaningWishes, clean, find_unused_files
from cnnsweep.maintenance.diagnostic import has_problems
from cnnsweep.storage.lock import locked
from cnnsweep.storage.paths import SweepPaths

EVERYTHING = CleaningWishes(keep_best=1, events=True, damaged=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_sweep(tmp_path_factory.mktemp("whole") / "small")


@pytest.fixture
def folder(whole, tmp_path):
    return copy_of(whole, tmp_path / "small")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def trained_again(folder: Path, overrides=OVERRIDES) -> int:
    display = SilentDisplay()
    sweep(folder, display=display, overrides=overrides)
    return len(display.records)


def test_checkpoints_of_finished_runs_and_leftovers_go(whole, folder):
    (folder / ".results.json.5.tmp").write_bytes(b"12345")
    (folder / "notes.txt").write_text("mine")
    before = contents(folder)
    removed = clean(SweepPaths(folder), CleaningWishes())
    gone = before.keys() - contents(folder).keys()
    assert {path.name for path in gone} == {"last.safetensors", ".results.json.5.tmp"}
    assert {one.path.relative_to(folder) for one in removed} == gone
    assert sum(one.size_bytes for one in removed) == sum(len(before[path]) for path in gone)
    assert trained_again(folder) == 0
    assert untimed(folder) == untimed(whole)
    assert not has_problems(check(folder))


def test_what_would_go_is_told_without_removing_it(folder):
    before = contents(folder)
    found = find_unused_files(SweepPaths(folder), EVERYTHING)
    assert contents(folder) == before
    assert [one.path for one in clean(SweepPaths(folder), EVERYTHING)] == [one.path for one in found]
    assert find_unused_files(SweepPaths(folder), EVERYTHING) == []


def test_the_best_setting_keeps_its_weights_and_can_be_evaluated(folder):
    best, other = sorted(tables(folder)["runs"], key=lambda row: row["val_loss"])
    (folder / "journal.jsonl.damaged-1").write_bytes(b"old")
    clean(SweepPaths(folder), EVERYTHING)
    rows = {row["run"]: row for row in tables(folder)["runs"]}
    assert rows[best["run"]]["checkpoint"] == best["checkpoint"]
    assert rows[other["run"]]["checkpoint"] is None
    assert rows[other["run"]]["val_loss"] == other["val_loss"]
    assert {path.name for path in (folder / other["run"]).iterdir()} == {"batch_loss.csv", "log.txt"}
    assert not (folder / "journal.jsonl.damaged-1").exists()
    assert not has_problems(check(folder)), "weights that a person removed are no damage"
    assert trained_again(folder) == 0
    assert load_results(folder).sweep.best == best["run"]
    assert evaluate_chosen(folder, EvaluationOptions(folder)).evaluations[0].run == best["run"]


def test_the_best_setting_of_the_present_file_keeps_its_weights(folder):
    best, other = sorted(tables(folder)["runs"], key=lambda row: row["val_loss"])
    assert trained_again(folder, (*OVERRIDES, f"params.lr={other['lr']}")) == 0  # the best is no longer in the file
    clean(SweepPaths(folder), EVERYTHING)
    kept = {row["run"]: row["checkpoint"] is not None for row in tables(folder)["runs"]}
    assert kept == {best["run"]: False, other["run"]: True}


def test_weights_that_come_back_are_looked_at_again(folder):
    clean(SweepPaths(folder), CleaningWishes(keep_best=1))
    removed = next(row["run"] for row in tables(folder)["runs"] if row["checkpoint"] is None)
    (folder / removed / "best.safetensors").write_bytes(b"strange")
    assert has_problems(check(folder))


@pytest.mark.parametrize("overrides", [("params.epochs=3",), ("params.lr=[1.0e9,0.01]", "params.optimizer=sgd")])
def test_runs_that_are_not_finished_keep_everything(tmp_path, overrides):
    folder = tmp_path / "small"
    sweep(folder, overrides=overrides)
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    ends = [number for number, line in enumerate(lines) if b'"status": "finished", "kind"' in line]
    (folder / "journal.jsonl").write_bytes(b"".join(lines[: ends[-1]]))  # the last run was cut off
    unfinished = [row["run"] for row in tables(folder)["runs"]]
    over = [json.loads(line)["run"] for line in lines[: ends[-1]] if b'"status": "finished", "kind"' in line]
    unfinished = [row["run"] for row in tables(folder)["runs"] if row["id"] not in over]
    kept = {name: contents(folder / name) for name in unfinished}
    assert kept
    clean(SweepPaths(folder), EVERYTHING)
    assert {name: contents(folder / name) for name in unfinished} == kept
    assert trained_again(folder, overrides) == 0, "what was under way goes on from its checkpoint"


def test_a_folder_that_a_sweep_writes_into_is_left_alone(folder):
    with locked(SweepPaths(folder)):
        for attempt in (find_unused_files, clean):
            with pytest.raises(FolderError, match="is in use by process"):
                attempt(SweepPaths(folder), EVERYTHING)


def test_a_damaged_journal_is_to_be_mended_first(folder):
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join([flipped(lines[0]), *lines[1:]]))
    before = contents(folder)
    with pytest.raises(ResultsError, match="--repair"):
        clean(SweepPaths(folder), EVERYTHING)
    assert contents(folder).items() >= {k: v for k, v in before.items() if k.name != ".lock"}.items()


def test_nothing_is_removed_through_a_symbolic_link(folder, tmp_path):
    run = folder / tables(folder)["runs"][0]["run"]
    shutil.move(run, tmp_path / "elsewhere")
    run.symlink_to(tmp_path / "elsewhere")
    before = contents(tmp_path / "elsewhere")
    clean(SweepPaths(folder), EVERYTHING)
    assert contents(tmp_path / "elsewhere") == before


def test_decoded_images_go_only_where_that_is_asked_for(monkeypatch, tmp_path, folder):
    monkeypatch.setenv("CNNSWEEP_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    entry = tmp_path / "cache" / ("a" * 32 + ".json")
    entry.write_text("{}")
    other = tmp_path / "cache" / "mine.txt"
    other.touch()
    clean(SweepPaths(folder), EVERYTHING)
    assert entry.exists()
    (removed,) = clean(None, CleaningWishes(cache=True))
    assert removed.size_bytes == 2
    assert not entry.exists()
    assert other.exists()
