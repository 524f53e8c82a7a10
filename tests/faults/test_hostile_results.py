"""A stranger's results.json: a figure or one clear error, in bounded time and memory."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_values import ESCAPE, deep, mutate
from results_by_hand import Content, fail_run, make_content
from rich.console import Console

from cnnsweep.analysis.compare import compare_sweeps
from cnnsweep.analysis.results import load_results
from cnnsweep.errors import CnnSweepError, ResultsError
from cnnsweep.report import export, terminal
from cnnsweep.report.compare_json import compare_to_json
from cnnsweep.report.compare_table import render_comparison


def several() -> list[Content]:
    """Return a grid with everything that a run can have, trials with seeds of a search, and folds."""
    grid = make_content()
    fail_run(grid, 8)
    test = {"run": "run-1", "configuration": "c", "split": "test", "accuracy": 0.8, "loss": 0.5, "images": 100}
    grid["tests"] = [{**test, "correct": 80, "time": "2026-11-21T10:00:00+00:00", "refit": False}]
    grid["sweep"]["early_stop"] = {"method": "halving", "epochs": [1, 3]}
    stop = {"epoch": 1, "value": 0.5, "threshold": 0.6, "compared": 4, "rule": "halving"}
    grid["runs"][3].update(stop=stop, status="stopped")
    seeds = make_content({"lr": [0.1, 0.01, 0.001], "model": ["lenet", "cnn"], "seed": [0, 1, 2]})
    for run in seeds["runs"]:
        run["configuration"] = f"{run['lr']} {run['model']}"
    seeds["sweep"]["search"] = {"method": "random", "runs": 6, "seed": 1}
    folds = make_content({"lr": [0.1], "fold": [0, 1, 2]})
    folds["sweep"]["folds"] = 3
    for run in folds["runs"]:
        run["configuration"] = "one"
    return [grid, seeds, folds]


def console(width: int = 100) -> Console:
    return Console(file=io.StringIO(), width=width)


def everything_shown(file: Path, other: Path, width: int = 100) -> str:
    """Return all that report and compare print of a file."""
    results = load_results(file)
    texts = [write(results) for write in (export.to_markdown, export.to_csv, export.to_json)]
    screen = console(width)
    terminal.render_report(results, screen)
    terminal.final_summary(results, screen)
    if results.runs:
        terminal.render_run(results, results.runs[0].name, screen)
    comparison = compare_sweeps([other, file])
    render_comparison(comparison, screen, None)
    return "\n".join([*texts, compare_to_json(comparison, None), screen.file.getvalue()])  # type: ignore[attr-defined]


def check_mutants(folder: Path, seed: int, count: int) -> int:
    """Show changed files; return how many there was something to show of."""
    chance = random.Random(seed)
    contents = several()
    other = folder / "other.json"
    other.write_text(json.dumps(make_content()))
    shown = 0
    for _ in range(count):
        file = folder / "results.json"
        file.write_text(json.dumps(mutate(chance.choice(contents), chance)))
        started = time.process_time()
        try:
            text = everything_shown(file, other, chance.choice((20, 80, 200)))
        except CnnSweepError as error:
            text = str(error)
            assert len(text) < 3000
        else:
            shown += 1
        assert time.process_time() - started < 10.0
        assert text.replace("\n", "").isprintable()
    return shown


def test_changed_files_are_shown_or_refused(tmp_path: Path) -> None:
    assert 10 < check_mutants(tmp_path, 3, 80) < 70


@pytest.mark.faults
def test_many_changed_files_are_shown_or_refused(tmp_path: Path) -> None:
    print(f"5000 changed results files: {check_mutants(tmp_path, 4, 5000)} shown, the others refused")


def test_names_and_settings_are_harmless_in_every_format(tmp_path: Path) -> None:
    content = make_content({ESCAPE: [ESCAPE, "=1+1|\n<script>", "@x"]})
    content["sweep"].update(name=ESCAPE, description=ESCAPE, dataset=ESCAPE, model=ESCAPE, device=ESCAPE)
    fail_run(content, 2, "failed", ESCAPE)
    for row in [*content["runs"], *content["epochs"]]:
        row["run"] = row["run"] + ESCAPE.replace("/", "")
    content["sweep"]["best"] = content["runs"][0]["run"]
    file = tmp_path / "results.json"
    file.write_text(json.dumps(content))
    (tmp_path / "other.json").write_text(json.dumps(make_content()))
    shown = everything_shown(file, tmp_path / "other.json", 300)
    assert shown.replace("\n", "").isprintable()
    assert r"\x1b[31m\x9b1m" in shown
    results = load_results(file)
    lines = export.to_markdown(results).splitlines()
    assert len({len([c for c in line.replace(r"\|", "") if c == "|"]) for line in lines}) == 1  # as many cells in each
    assert r"\<script\>" in "".join(lines)
    assert "'=1+1" in export.to_csv(results)
    assert "'@x" in export.to_csv(results)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (pipe, "cannot be read (it is a pipe or a device, not a file)"),
        (link("/dev/zero"), "cannot be read (it is a pipe or a device, not a file)"),
        (link("results.json"), "cannot be read (Too many levels of symbolic links)"),
        (sparse, "cannot be read (it has 1,099,511,627,776 bytes; at most 268,435,456 are read)"),
    ],
)
def test_what_is_no_file_or_too_large_is_refused_at_once(
    make: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    make(tmp_path / "results.json")
    (tmp_path / "other.json").write_text(json.dumps(make_content()))
    for look in (load_results, lambda path: compare_sweeps([tmp_path / "other.json", path])):
        with pytest.raises(ResultsError) as raised:
            look(tmp_path / "results.json")
        assert str(raised.value) == f"{tmp_path}/results.json: {message}"


@pytest.mark.parametrize("make", [pipe, link("/dev/zero"), Path.mkdir, sparse])
@pytest.mark.parametrize("name", ["environment.json", "sweep.yaml", "journal.jsonl"])
def test_what_lies_beside_a_results_file_may_be_anything(
    name: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    if make is sparse and name == "journal.jsonl":
        pytest.skip("the journal's own reader bounds its lines")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "results.json").write_text(json.dumps(make_content()))
    make(tmp_path / "b" / name)
    assert compare_sweeps([tmp_path / "a", tmp_path / "b"]).sources[1].missing


def put(content: Content, place: str, value: Any) -> Content:
    *steps, last = [int(step) if step.isdigit() else step for step in place.split(".")]
    node: Any = content
    for step in steps:
        node = node[step]
    node[last] = value
    return content


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("runs.0.loss", 10**400, "runs[0].loss: is 1000000"),
        ("sweep.duration", 10**400, "but must be a finite number"),
        ("runs.0.epochs_done", 10**30, "but must be at most 9223372036854775807"),
        ("runs.0.cause", deep(500), "runs[0].cause: is a list of 1, but must be a text"),
        ("runs.0.lr", deep(500), "runs[0].lr: is a list of 1, but must be at most 8 lists deep"),
        ("runs.0.run", "C:x", 'runs[0].run: is "C:x", but must be the name of a folder'),
        ("runs.0.run", "..", 'runs[0].run: is "..", but must be the name of a folder'),
        ("runs.0.status", "x" * 10**6, "but must be one of"),
        ("runs", {str(n): n for n in range(10**5)}, "runs: is a mapping of 100,000, but must be a list"),
    ],
)
def test_wrong_values_are_named_in_a_short_line(place: str, value: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(json.dumps(put(make_content(), place, value)))
    with pytest.raises(ResultsError) as raised:
        load_results(file)
    assert message in str(raised.value)
    assert len(str(raised.value)) < 1000


def test_a_figure_out_of_all_bounds_counts_as_not_measured(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(json.dumps(put(make_content(), "runs.0.loss", 1e200)))
    assert load_results(file).runs[0]["loss"] is None


HOSTILE = {
    "deep": b"[" * 10**6,
    "deep mappings": b'{"a":' * 10**6,
    "many lists": b"[" + b"[]," * 10**5 + b"[]]",
    "a million runs": b'{"version":1,"sweep":{},"runs":[' + b"{}," * 10**6 + b'{}],"epochs":[]}',
    "a long number": b'{"version":' + b"9" * 10**6 + b"}",
    "not UTF-8": b'{"version":1,"x":"\xff\xfe"}',
    "UTF-16": '{"version":1}'.encode("utf-16"),
    "a long string": b'{"version":"' + b"x" * 10**7 + b'"}',
    "NaN": b'{"version":NaN}',
    "nothing": b"",
    "binary": bytes(range(256)) * 1000,
}


@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_file_is_refused(title: str, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(HOSTILE[title])
    started = time.process_time()
    with pytest.raises(ResultsError) as raised:
        load_results(file)
    assert time.process_time() - started < 10.0
    assert len(str(raised.value)) < 1000


@pytest.mark.faults
@pytest.mark.parametrize("command", ["report", "compare"])
@pytest.mark.parametrize("content", [b"[" + b"[]," * (1 << 26) + b"[]]", b'{"a":"' + b"x" * (1 << 27) + b'"}'])
def test_memory_is_bounded_by_what_there_is(command: str, content: bytes, tmp_path: Path) -> None:
    """200 MB that would take gigabytes, in a process that may have one and a half."""
    (tmp_path / "results.json").write_bytes(content)
    (tmp_path / "other.json").write_text(json.dumps(make_content()))
    others = [str(tmp_path / "other.json")] if command == "compare" else []
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({3 << 29},) * 2)"
    limited = f"{limit}; from cnnsweep.cli import main; main()"
    arguments = [sys.executable, "-c", limited, command, *others, str(tmp_path / "results.json")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 4, done.stderr[-2000:]
    assert done.stderr.count("\n") == 1
