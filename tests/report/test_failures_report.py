"""Failures in reports: one line for all that failed alike, and what to do next."""

from pathlib import Path
from typing import Any

import pytest
from results_by_hand import fail_run, load, make_content, show

from cnnsweep.errors import ResultsError
from cnnsweep.report.failures import print_failures
from cnnsweep.report.terminal import final_summary, render_report


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("fashion")


def fail(content: dict[str, Any], number: int, failure: str, cause: str = "boom") -> None:
    fail_run(content, number, "diverged" if failure == "diverged" else "failed", cause)
    content["runs"][number - 1]["failure"] = failure


def failures(folder: Path, content: dict[str, Any]) -> str:
    results = load(folder, content)
    return show(lambda console: print_failures(results, console), 100)


def test_runs_that_failed_alike_are_one_line_with_the_settings_that_they_share(folder: Path) -> None:
    content = make_content({"batch_size": [16, 4096], "lr": [0.1 / n for n in range(1, 31)]}, epochs=1)
    for number in range(31, 61):
        fail(content, number, "out of memory", "tried to allocate 20 GiB; use a batch_size below 4096")
    assert (
        failures(folder, content)
        == """
Failures
30 failed (out of memory): tried to allocate 20 GiB; use a batch_size below 4096
  all with batch_size=4096
logs        cnnsweep logs fashion run-31
once fixed  the same 'cnnsweep run' command, with --retry-failed
"""
    )


def test_kinds_and_causes_are_apart_and_runs_that_diverged_together(folder: Path) -> None:
    content = make_content({"lr": [1, 2, 3, 4], "shuffle": [True, False]})
    fail(content, 1, "diverged", "epoch 1: the loss became nan in batch 3; try a smaller lr")
    fail(content, 2, "diverged", "epoch 2: the loss became inf in batch 9; try a smaller lr")
    fail(content, 3, "your code", "ValueError: no")
    fail(content, 4, "data", "ValueError: no")
    fail(content, 5, "your code", "ValueError: yes")
    assert (
        failures(folder, content)
        == """
Failures
2 diverged: a loss or a weight became infinite or NaN; try a smaller lr
  all with lr=1
1 failed (your code): ValueError: no
  lr=2 shuffle=true
1 failed (data): ValueError: no
  lr=2 shuffle=false
1 failed (your code): ValueError: yes
  lr=3 shuffle=true
logs        cnnsweep logs fashion
once fixed  the same 'cnnsweep run' command, with --retry-failed
"""
    )


def test_runs_that_share_no_setting_have_examples(folder: Path) -> None:
    content = make_content({"lr": [1, 2, 3, 4]})
    for number in (1, 2, 3, 4):
        fail(content, number, "your code")
    assert "  lr=1\n  lr=2\n  lr=3\n  … and 1 more\n" in failures(folder, content)


def test_a_fault_of_ours_asks_to_be_reported_with_its_log(folder: Path) -> None:
    content = make_content({"lr": [1, 2]})
    fail(content, 2, "cnnsweep", "KeyError: 'x'")
    text = failures(folder, content)
    assert "1 failed (cnnsweep): KeyError: 'x'\n" in text
    assert "our fault   please report it, with fashion/run-2/log.txt\n" in text


def test_where_runs_only_diverged_there_is_nothing_to_mend(folder: Path) -> None:
    content = make_content({"lr": [1, 2]})
    fail(content, 2, "diverged")
    assert "--retry-failed" not in failures(folder, content)
    assert failures(folder, make_content({"lr": [1, 2]})) == "\n"


def test_reports_and_tables_show_the_kind(folder: Path) -> None:
    content = make_content({"lr": [1, 2]})
    fail(content, 2, "data", "a.png: cannot be read")
    results = load(folder, content)
    for render in (render_report, final_summary):
        text = show(lambda console, render=render: render(results, console), 120)
        assert "failed (data): a.png: cannot be read" in text  # in the table
        assert "1 failed (data): a.png: cannot be read\n  lr=2\n" in text


def test_an_unknown_kind_is_refused_with_those_that_there_are(folder: Path) -> None:
    content = make_content({"lr": [1, 2]})
    fail(content, 2, "gremlins")
    with pytest.raises(ResultsError, match=r'runs\[1\].failure: is "gremlins", but must be one of diverged, out of me'):
        load(folder, content)
