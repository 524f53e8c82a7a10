"""Which run a person means, what its log says, and what follows while it trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cnnsweep.errors import ResultsError, UsageError
from cnnsweep.report.logs import RunLog, find_logs, follow, log_lines
from cnnsweep.storage.journal import Journal

SWEEP = {
    **{"event": "sweep", "version": 1, "name": "s", "description": None, "metric": "loss", "mode": "min", "spec": ""},
    **{"dataset": "shapes", "fingerprint": "0", "model": "cnn", "precision": "fp32", "device": "cpu", "threads": 1},
    **{"seed": 0, "normalize": {}, "validation": 0.1, "overrides": []},
}
FAILED = {"status": "failed", "kind": "your code", "cause": "ValueError: no"}


def announce(number: int) -> dict[str, Any]:
    return {"event": "run", "run": f"{number}" * 16, "name": f"run-{number}", "settings": {}, "parameters": 1}


def end(number: int, **how: Any) -> dict[str, Any]:
    return {"event": "ended", "run": f"{number}" * 16, "cause": None, **how}


class Folder:
    """A sweep's folder whose journal and logs are written by hand."""

    def __init__(self, path: Path, runs: int = 3) -> None:
        self.path = path
        path.mkdir()
        self.journal = Journal(path / "journal.jsonl")
        self.tell(SWEEP, *map(announce, range(1, runs + 1)))

    def tell(self, *events: dict[str, Any]) -> None:
        self.journal.append(*({**event, "time": "t"} for event in events))

    def log(self, number: int, text: str) -> None:
        file = self.path / f"run-{number}" / "log.txt"
        file.parent.mkdir(exist_ok=True)
        with file.open("ab") as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))


@pytest.fixture
def folder(tmp_path):
    made = Folder(tmp_path / "s")
    yield made
    made.journal.close()


def found(path: Path, wanted: str | None = None) -> RunLog:
    log = find_logs(path, wanted)[1]
    assert log is not None
    return log


def test_a_run_is_found_by_name_id_beginning_folder_and_file(folder, monkeypatch):
    folder.log(2, "x\n")
    for wanted in ("run-2", "2" * 16, "22"):
        assert found(folder.path, wanted).run.name == "run-2"
    assert found(folder.path / "run-2").path == folder.path / "run-2" / "log.txt"
    assert found(folder.path / "run-2" / "log.txt").run.name == "run-2"
    monkeypatch.chdir(folder.path / "run-2")
    assert found(Path()).run.name == "run-2"
    monkeypatch.chdir(folder.path)
    assert find_logs(Path(), None)[1] is None


def test_an_unknown_run_is_told_with_the_nearest(folder):
    with pytest.raises(UsageError, match="no run 'rn-2' in sweep 's'; did you mean 'run-2'"):
        find_logs(folder.path, "rn-2")
    with pytest.raises(UsageError, match="3 runs begin with 'run'"):
        find_logs(folder.path, "run")
    folder.log(1, "x\n")
    with pytest.raises(UsageError, match="is already a run's folder"):
        find_logs(folder.path / "run-1", "run-2")


def test_a_folder_without_a_sweep_is_refused(tmp_path):
    with pytest.raises(ResultsError, match="holds no sweep"):
        find_logs(tmp_path, None)
    with pytest.raises(ResultsError, match="holds no sweep"):
        find_logs(tmp_path / "gone", "x")


@pytest.mark.parametrize("name", ["../s2", "..", "a/b", "x\0"])
def test_a_foreign_journal_leads_to_no_file_elsewhere(tmp_path, name):
    folder = Folder(tmp_path / "s", 0)
    folder.tell({**announce(1), "name": name}, end(1, **FAILED))
    folder.journal.close()
    with pytest.raises(ResultsError, match="the run's name is not that of a folder"):
        find_logs(folder.path, None)


def test_failed_runs_are_listed_with_kind_and_cause_and_others_are_not(folder):
    folder.tell(end(1, **FAILED), end(2, status="finished"), end(3, status="diverged", kind="diverged", cause="a\x1b"))
    logs, _ = find_logs(folder.path, None)
    assert [(log.run.name, log.words) for log in logs.failed] == [
        ("run-1", "failed (your code): ValueError: no"),
        ("run-3", "diverged: a\\x1b"),
    ]
    plain = json.loads(json.dumps(logs.failed[0].to_plain()))
    assert (plain["failure"], plain["log"]) == ("your code", str(folder.path / "run-1" / "log.txt"))


def test_lines_are_safe_for_a_terminal_and_stay_lines(folder):
    folder.log(1, "a\tb\x1b[2J\r\nTraceback:\n  File 'x'\n\udcff no end")
    assert list(log_lines(found(folder.path, "run-1"))) == [
        "a   b\\x1b[2J",
        "Traceback:",
        "  File 'x'",
        "\ufffd no end",
    ]
    with pytest.raises(ResultsError, match="no log yet; the run has not started"):
        list(log_lines(found(folder.path, "run-2")))
    (folder.path / "run-3" / "log.txt").mkdir(parents=True)
    with pytest.raises(ResultsError, match=r"cannot be read \(Is a directory\)"):
        list(log_lines(found(folder.path, "run-3")))


class Reader:
    """Reads what is written, and lets the next thing happen whenever it has to wait."""

    def __init__(self, *happens: Any) -> None:
        self.lines: list[str] = []
        self.waits = 0
        self._happens = iter(happens)

    def write(self, line: str) -> bool:
        self.lines.append(line)
        return True

    def wait(self, _seconds: float) -> None:
        self.waits += 1
        next(self._happens)()  # StopIteration: waited for longer than was needed


def read_along(folder: Folder, number: int, *happens: Any) -> Reader:
    reader = Reader(*happens)
    logs, log = find_logs(folder.path, f"run-{number}")
    assert log is not None
    follow(logs, log, reader.write, reader.wait)
    return reader


def test_a_log_is_followed_from_before_it_is_there_until_the_run_ends(folder):
    reader = read_along(
        folder,
        1,
        lambda: folder.log(1, "started\nepo"),
        lambda: folder.tell(end(2, status="finished")),  # another run's
        lambda: folder.log(1, "ch 1\n"),
        lambda: (folder.log(1, "finished"), folder.tell(end(1, status="finished"))),
    )
    assert reader.lines == ["started", "epoch 1", "finished"]
    assert reader.waits == 4


def test_following_ends_with_the_sweep_and_does_not_begin_where_nothing_comes(folder):
    folder.log(1, "started\n")
    assert read_along(folder, 1, lambda: folder.tell({"event": "left", "status": "interrupted"})).lines == ["started"]
    assert read_along(folder, 1).waits == 0  # the sweep is over
    folder.tell(SWEEP, end(2, **FAILED))
    folder.log(2, "failed\n")
    assert (read_along(folder, 2).lines, read_along(folder, 2).waits) == (["failed"], 0)


def test_following_ends_when_nobody_reads(folder):
    folder.log(1, "a\nb\nc\n")
    logs, log = find_logs(folder.path, "run-1")
    lines = []
    follow(logs, log, lambda line: lines.append(line) or len(lines) < 2, lambda _seconds: pytest.fail("waited"))
    assert lines == ["a", "b"]
