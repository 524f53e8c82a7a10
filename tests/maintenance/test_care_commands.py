"""`cnnsweep doctor` and `cnnsweep clean` as a person types them."""

from __future__ import annotations

import io
import json
import sys

import pytest
from damaged_sweeps import copy_of, make_sweep
from small_sweeps import tables

from cnnsweep import cli


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_sweep(tmp_path_factory.mktemp("whole") / "small")


@pytest.fixture
def folder(whole, tmp_path):
    return copy_of(whole, tmp_path / "small")


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNNSWEEP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody can be asked

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cnnsweep", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return ended.value.code or 0, captured.out, captured.err

    return run


def test_doctor_says_that_all_is_well_by_its_exit_code(call, folder):
    code, out, _ = call("doctor", folder)
    assert code == 0
    assert out.splitlines()[0] == "✓ sweep    small: 2 runs, 2 ended, finished"
    assert out.splitlines()[-1] == "no problems"


def test_doctor_finds_says_what_to_do_and_mends(call, folder):
    (folder / "runs.csv").unlink()
    code, out, _ = call("doctor", folder)
    assert code == 1
    assert "✗ runs.csv" in out
    assert f"→ repair it with: cnnsweep doctor {folder} --repair" in out
    code, out, _ = call("doctor", folder, "--repair")
    assert code == 0
    assert out.splitlines()[0] == "rewrote runs.csv"
    assert call("doctor", folder, "--repair")[1].splitlines()[0] == "nothing to repair"


def test_doctor_as_json(call, folder):
    (folder / "runs.csv").unlink()
    code, out, _ = call("doctor", folder, "--json")
    assert (code, json.loads(out)["sound"]) == (1, False)
    code, out, _ = call("doctor", folder, "--repair", "--json")
    assert (code, json.loads(out)["sound"], json.loads(out)["repairs"]) == (0, True, ["rewrote runs.csv"])


def test_doctor_of_what_is_no_sweep_gives_exit_code_4(call, tmp_path):
    code, _, err = call("doctor", tmp_path)
    assert code == 4
    assert "holds no sweep (no journal.jsonl)" in err
    assert call("doctor", "--repair")[0] == 2


def test_doctor_shows_names_from_files_escaped(call, folder):
    (folder / "a\x1b[31mb").touch()
    assert "a\\x1b[31mb is not cnnsweep's" in call("doctor", folder)[1].replace("  ", " ")


def test_clean_shows_asks_and_cleans(call, folder):
    last = [folder / row["run"] / "last.safetensors" for row in tables(folder)["runs"]]
    code, out, _ = call("clean", folder, "--dry-run")
    assert code == 0
    assert "checkpoints of finished runs (2 files)" in out
    assert out.splitlines()[-1].endswith("would be freed; nothing was removed")
    code, _, err = call("clean", folder)
    assert code == 2
    assert "add --yes to remove" in err
    assert all(path.exists() for path in last)
    code, out, _ = call("clean", folder, "--yes", "--json")
    assert code == 0
    assert {entry["path"] for entry in json.loads(out)["files"]} == set(map(str, last))
    assert not any(path.exists() for path in last)
    assert call("clean", folder)[1] == "nothing to remove\n"


def test_clean_wants_to_know_what(call):
    for arguments in ([], ["--events"], ["--cache", "--keep-best", "1"]):
        assert call("clean", *arguments)[0] == 2
    assert call("clean", "--cache", "--yes")[:2] == (0, "nothing to remove\n")
    assert call("clean", "nowhere")[0] == 4
